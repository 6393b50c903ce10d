package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A documented stack has the figures that the section Limits of the package documentation
// has for it.
type documented struct {
	name    string
	carrier carrier.Carrier
	mux     mux.Muxer
	secure  bool

	idle       int64 // KiB of memory of each end of an idle session
	goroutines int   // of each end
	unread     int64 // MiB of memory of both ends of a session whose streams nobody reads
	window     int   // KiB of a stream
	fromClient int   // connections that a client may have open
}

var documentedStacks = []documented{
	{"ws qmux", ws.New(), qmux.New(), false, 16, 1, 64, 256, 256},
	{"ws yamux", ws.New(), yamuxmux.New(), false, 16, 1, 64, 256, 256},
	{"ws smux", ws.New(), smuxmux.New(), false, 16, 1, 64, 256, 256},
	{"wss qmux", ws.New(), qmux.New(), true, 24, 1, 64, 256, 256},
	{"webtransport qmux", webtransport.New(), qmux.New(), true, 112, 13, 64, 256, 256},
	{"webtransport native", webtransport.New(), nativemux.New(), true, 112, 13, 150, 512, 62},
}

// eachDocumented runs test for every stack.
func eachDocumented(t *testing.T, test func(t *testing.T, s documented)) {
	for _, s := range documentedStacks {
		t.Run(s.name, func(t *testing.T) {
			leak.Check(t)
			test(t, s)
		})
	}
}

// An attended is a server at a port, with the default limits.
type attended struct {
	addr    string
	url     string
	dialers chan *transport.Dialer
	client  []transport.ClientOption
	tls     *tls.Config // of clients; nil without TLS
}

// serve starts a server, which is closed when t is done.
func (s documented) serve(t *testing.T, opts ...transport.ServerOption) *attended {
	t.Helper()
	l := &attended{
		dialers: make(chan *transport.Dialer, 1),
		client:  []transport.ClientOption{transport.WithCarriers(s.carrier), transport.WithMuxes(s.mux)},
	}
	server := serverFunc(t, func(d *transport.Dialer) { l.dialers <- d },
		append(opts, transport.WithCarriers(s.carrier, ws.New()), transport.WithMuxes(s.mux))...)
	server.Addr = testnet.FreeAddr(t)
	l.addr = server.Addr
	served := make(chan error, 1)
	if s.secure {
		certFile, keyFile, roots := certificate(t)
		l.url = "https://" + server.Addr
		l.tls = &tls.Config{RootCAs: roots}
		l.client = append(l.client, transport.WithTLSConfig(l.tls))
		go func() { served <- server.ListenAndServeTLS(certFile, keyFile) }()
	} else {
		l.url = "http://" + server.Addr
		go func() { served <- server.ListenAndServe() }()
	}
	t.Cleanup(func() {
		server.Close()
		await.From(t, "end of the server", served)
	})
	awaitListening(t, server.Addr)
	return l
}

// connect returns both ends of a session, which ends with t.
func (l *attended) connect(t *testing.T) (*transport.Dialer, *transport.Listener) {
	t.Helper()
	lis, err := transport.DialAndListenContext(within(t), l.url, nil, l.client...)
	if err != nil {
		t.Fatal("dial and listen:", err)
	}
	t.Cleanup(func() { lis.Close() })
	return await.From(t, "Dialer", l.dialers), lis
}

// held is the memory of the heap and of stacks.
func held() int64 {
	runtime.GC()
	runtime.GC() // what pools held is gone now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestIdleSessionCost holds sessions on which nothing happens.
func TestIdleSessionCost(t *testing.T) {
	eachDocumented(t, func(t *testing.T, s documented) {
		const sessions = 100
		l := s.serve(t)
		l.connect(t) // pays the fixed cost
		goroutines, memory := runtime.NumGoroutine(), held()
		for range sessions {
			l.connect(t)
		}
		await.Until(t, "no more goroutines than are documented", func() bool {
			return runtime.NumGoroutine()-goroutines <= 2*sessions*s.goroutines
		})
		each := (held() - memory) / sessions / 2 >> 10
		t.Logf("%d KiB and %.1f goroutines for each end", each, float64(runtime.NumGoroutine()-goroutines)/sessions/2)
		if most := s.idle * 3 / 2; each > most && !raceDetector {
			t.Errorf("%d KiB of memory for each end, want %d at most", each, most)
		}
	})
}

// In TestWindowOfStream nobody reads a stream, which takes its window and no more.
func TestWindowOfStream(t *testing.T) {
	eachDocumented(t, func(t *testing.T, s documented) {
		d, _ := s.serve(t).connect(t)
		c, err := d.Dial()
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []struct {
			size int
			wait time.Duration
			err  error
		}{{s.window << 10, patience, nil}, {64 << 10, 100 * time.Millisecond, os.ErrDeadlineExceeded}} {
			c.SetWriteDeadline(time.Now().Add(piece.wait))
			if n, err := c.Write(make([]byte, piece.size)); !errors.Is(err, piece.err) {
				t.Errorf("write %d bytes: %d, %v; want %v", piece.size, n, err, piece.err)
			}
		}
	})
}

// TestUnreadMemory fills more streams that nobody reads than the session has memory for.
func TestUnreadMemory(t *testing.T) {
	long.Only(t)
	eachDocumented(t, func(t *testing.T, s documented) {
		const streams, least, beside = 300, 16, 32 // MiB
		d, lis := s.serve(t).connect(t)
		before, data := held(), make([]byte, 1<<20)
		wrote := make(chan int)
		for range streams {
			c, err := d.Dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lis.Accept(); err != nil {
				t.Fatal(err)
			}
			go func() {
				c.SetWriteDeadline(time.Now().Add(time.Second))
				n, _ := c.Write(data)
				wrote <- n
			}()
		}
		sent := 0
		for range streams {
			sent += <-wrote
		}
		if sent>>20 < least { // what the ends hold cannot be less by more than sockets have room for
			t.Errorf("the ends took %d MiB, want %d at least", sent>>20, least)
		}
		holds := (held() - before) >> 20
		t.Logf("of %d MiB both ends hold %d", sent>>20, holds)
		if holds > s.unread+beside { // it may be too little: what was before may have gone meanwhile
			t.Errorf("both ends hold %d MiB, want %d at most", holds, s.unread+beside)
		}
		if err := d.Err(); err != nil {
			t.Error("the session has ended:", err)
		}
	})
}

// In TestBacklog a client accepts nothing for a while.
func TestBacklog(t *testing.T) {
	eachDocumented(t, func(t *testing.T, s documented) {
		const backlog = 256
		d, lis := s.serve(t).connect(t)
		for range 2 {
			for range backlog {
				if _, err := d.DialContext(within(t), "", ""); err != nil {
					t.Fatal("dial:", err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if _, err := d.DialContext(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one more than %d: %v, want context.DeadlineExceeded", backlog, err)
			}
			cancel()
			for range backlog {
				if _, err := lis.Accept(); err != nil {
					t.Fatal("accept:", err)
				}
			}
		}
	})
}

// TestMaxStreams opens as many connections to a client as there may be.
func TestMaxStreams(t *testing.T) {
	long.Only(t)
	if raceDetector {
		t.Skip("takes long with the race detector")
	}
	eachDocumented(t, func(t *testing.T, s documented) {
		const most = 16384
		d, lis := s.serve(t).connect(t)
		accepted := make(chan error)
		go func() {
			for {
				_, err := lis.Accept()
				accepted <- err
				if err != nil {
					return
				}
			}
		}()
		for range most {
			if _, err := d.Dial(); err != nil {
				t.Fatal("dial:", err)
			}
			if err := await.From(t, "Accept", accepted); err != nil {
				t.Fatal("accept:", err)
			}
		}
		c, err := d.Dial()
		if err != nil {
			t.Fatal("dial:", err)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
			t.Errorf("one more: %v, want mux.ErrReset", err)
		}
		lis.Close()
		await.From(t, "end of Accept", accepted)
	})
}

// In TestUnwantedStreams a client opens connections that nobody accepts.
func TestUnwantedStreams(t *testing.T) {
	eachDocumented(t, func(t *testing.T, s documented) {
		d, lis := s.serve(t).connect(t)
		for range 100 {
			if err := openByClient(t, lis, patience); !errors.Is(err, mux.ErrReset) {
				t.Fatalf("a connection that nobody wants: %v, want mux.ErrReset", err)
			}
		}
		if err := d.Ping(within(t)); err != nil {
			t.Fatal("after 100:", err)
		}
		openByClient(t, lis, patience)
		await.From(t, "end of the session", d.Done())
		if err := d.Err(); !errors.Is(err, mux.ErrProtocol) {
			t.Errorf("error %v, want mux.ErrProtocol", err)
		}
	})
}

// openByClient opens a connection, and reads a byte.
func openByClient(t *testing.T, lis *transport.Listener, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	c, err := lis.DialContext(ctx, "", "")
	if err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(patience))
	_, err = c.Read(make([]byte, 1))
	return err
}

// In TestConnectionsFromClient a client opens as many connections as it may.
func TestConnectionsFromClient(t *testing.T) {
	eachDocumented(t, func(t *testing.T, s documented) {
		stay := make(chan struct{})
		defer close(stay)
		_, lis := s.serve(t, transport.WithAcceptFromClient(func(_ *transport.Dialer, c net.Conn) {
			defer c.Close()
			c.Write([]byte("x"))
			<-stay
		})).connect(t)
		for range s.fromClient {
			if err := openByClient(t, lis, patience); err != nil {
				t.Fatal("a connection that there may be:", err)
			}
		}
		if err := openByClient(t, lis, 100*time.Millisecond); !errors.Is(err, mux.ErrReset) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one more than %d: %v, want mux.ErrReset, or that it waits", s.fromClient, err)
		}
	})
}

// In TestManyHandshakes as many clients wait to be authorized as there may be.
func TestManyHandshakes(t *testing.T) {
	leak.Check(t)
	const most = 1024
	var under atomic.Int32
	decide := make(chan struct{})
	l := documentedStacks[0].serve(t, transport.WithAuthorize(func(*http.Request) error {
		under.Add(1)
		<-decide
		return transport.ErrForbidden
	}))
	goOn := sync.OnceFunc(func() { close(decide) })
	defer goOn()
	for range most {
		c, err := net.Dial("tcp", l.addr)
		if errors.Is(err, syscall.EMFILE) {
			t.Skip("needs more file descriptors (ulimit -n): ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, upgradeRequest, "/", "")
	}
	await.Until(t, "handshakes are under way", func() bool { return under.Load() == most })
	_, err := transport.DialAndListenContext(within(t), l.url, nil, l.client...)
	if !rejectedWith(http.StatusServiceUnavailable)(err) {
		t.Errorf("one more than %d: %v, want status 503", most, err)
	}
	goOn()
}

// In TestSlowHandshakes unknown clients begin a handshake by each carrier, and do not go on.
func TestSlowHandshakes(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	const timeout, beside = 10 * time.Second, 5 * time.Second
	s := documentedStacks[len(documentedStacks)-1]
	l := s.serve(t)
	began := time.Now()
	ended := make(map[string]<-chan struct{})
	for name, says := range map[string]string{"nothing": "", "half a ClientHello": "\x16\x03\x01\x02\x00\x01"} {
		c, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte(says))
		end := make(chan struct{})
		go func() {
			defer close(end)
			for err := error(nil); err == nil; {
				_, err = c.Read(make([]byte, 100))
			}
		}()
		ended[name] = end
	}
	config := l.tls.Clone()
	config.NextProtos = []string{"h3"}
	stranger, err := quic.DialAddr(within(t), l.addr, config, &quic.Config{KeepAlivePeriod: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ended["a QUIC connection without a request"] = stranger.Context().Done()
	for name, end := range ended {
		await.From(t, "end of "+name, end)
		if took := time.Since(began); took < timeout-time.Second || took > timeout+beside {
			t.Errorf("%s has ended after %v, want %v", name, took, timeout)
		}
	}
}
