package transport_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// stripping is a reverse proxy in front of backend that removes a field from answers.
func stripping(t *testing.T, backend, field string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { strip(client, backend, field) })
		}
	})
	return "http://" + ln.Addr().String()
}

// strip leads one connection to backend.
func strip(client net.Conn, backend, field string) {
	defer client.Close()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(server, client)
		server.Close()
	}()
	for r := bufio.NewReader(server); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if !strings.HasPrefix(line, field+":") {
			io.WriteString(client, line)
		}
		if line == "\r\n" {
			io.Copy(client, r)
			return
		}
	}
}

func TestStrippedProtocol(t *testing.T) {
	leak.Check(t)
	muxes := transport.WithMuxes(smuxmux.New(), yamuxmux.New())
	srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { d.Dial() }, muxes))
	defer srv.Close()
	url := stripping(t, srv.Listener.Addr().String(), "Sec-WebSocket-Protocol")
	lis, err := transport.DialAndListen(url, nil, muxes)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	_, err = lis.Accept()
	want := "transport: accept: yamux: session ended: protocol violation: " +
		"frame of version 2 instead of 0: the peer does not speak yamux " +
		"(nothing was negotiated: a proxy may have removed the Sec-WebSocket-Protocol header)"
	if err == nil || err.Error() != want {
		t.Errorf("error\n\t%v\nwant\n\t%s", err, want)
	}
	if !errors.Is(err, mux.ErrProtocol) {
		t.Error("the error does not match mux.ErrProtocol")
	}

	_, err = transport.DialAndListen(stripping(t, srv.Listener.Addr().String(), "Sec-WebSocket-Protocol"), nil, muxes, transport.WithRequireNegotiation())
	if !errors.Is(err, transport.ErrNoCommonMux) {
		t.Errorf("error %v, want transport.ErrNoCommonMux", err)
	}
}

// In TestStrippedChoice a client is behind such a proxy. After one session that fails it gets
// sessions that work.
func TestStrippedChoice(t *testing.T) {
	for name, muxes := range map[string][]mux.Muxer{
		"qmux":  {qmux.New(), yamuxmux.New()},
		"smux":  {smuxmux.New(), yamuxmux.New()},
		"yamux": {yamuxmux.New()},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			dialers := make(chan *transport.Dialer, 10)
			alive := transport.WithKeepAlive(500*time.Millisecond, 0) // smux says nothing before
			srv := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d },
				transport.WithMuxes(muxes...), alive, transport.WithServerID("one")))
			defer srv.Close()
			told := new(changes)
			lis, err := transport.DialAndListenContext(within(t), stripping(t, srv.Listener.Addr().String(), "Sec-WebSocket-Protocol"), nil,
				transport.WithMuxes(muxes...), alive, transport.WithTrace(told.trace()),
				transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond}))
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			go serveEcho(lis)
			served := func() *transport.Dialer {
				t.Helper()
				for {
					d := await.From(t, "Dialer", dialers)
					if d.Info().Protocol == "" || name == "yamux" {
						echoes(t, d, 100_000)
						return d
					}
				}
			}
			d := served()
			if got, want := told.states(), []transport.State{connected, waiting, connecting, connected}; name != "yamux" && !slices.Equal(got, want) {
				t.Errorf("states %v, want %v", got, want)
			}
			d.Close()
			served()
			if got, want := told.states(), []transport.State{waiting, connecting, connected}; name != "yamux" && !slices.Equal(got, want) {
				t.Errorf("states %v, want %v: the network is known", got, want)
			}
		})
	}
}

// In TestStrippedAndRefused the client or the server demands negotiation behind such a proxy.
// The client comes back seldom, and offers its protocols again.
func TestStrippedAndRefused(t *testing.T) {
	leak.Check(t)
	for name, opts := range map[string]struct {
		client []transport.ClientOption
		server []transport.ServerOption
	}{
		"the client": {client: []transport.ClientOption{transport.WithRequireNegotiation()}},
		"the server": {server: []transport.ServerOption{transport.WithRequireNegotiation()}},
	} {
		t.Run(name, func(t *testing.T) {
			var offered atomic.Int64
			alive := transport.WithKeepAlive(500*time.Millisecond, 0) // neither end may say anything before
			srv := httptest.NewServer(serverFunc(t, func(*transport.Dialer) { offered.Add(1) }, append(opts.server, alive)...))
			defer srv.Close()
			refused := make(chan transport.StateChange, 100)
			client := transport.NewClient(stripping(t, srv.Listener.Addr().String(), "Sec-WebSocket-Protocol"), nil, append(opts.client,
				alive, transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond, MaxRefused: 20 * time.Millisecond}),
				transport.WithTrace(transport.Trace{StateChanged: func(c transport.StateChange) {
					if c.Refused > 0 {
						refused <- c
					}
				}}))...)
			go func() {
				lis, err := client.DialAndListenContext(t.Context())
				if err == nil {
					<-t.Context().Done()
					lis.Close()
				}
			}()
			for n := range 4 {
				if c := await.From(t, "refusal", refused); c.Refused != n+1 || !transport.Retryable(c.Err) {
					t.Errorf("refusal %d: %+v", n+1, c)
				}
			}
			if n := offered.Load(); n < 3 {
				t.Errorf("something was offered %d times, want 3 or more", n)
			}
		})
	}
}

// garbled makes WebSockets on which it speaks no multiplexer, and tells what was offered.
func garbled(offers chan<- string) http.Handler {
	by := ws.New()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offered, _ := by.Offer(r)
		offers <- strings.Join(offered, " ")
		conn, err := by.Upgrade(w, r, "")
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Write(bytes.Repeat([]byte("?"), 100))
		io.Copy(io.Discard, conn)
	})
}

// In TestNothingOffered the client offers nothing, and the server speaks another protocol. The
// client offers again, and does both less and less often.
func TestNothingOffered(t *testing.T) {
	leak.Check(t)
	offers := make(chan string, 100)
	srv := httptest.NewServer(garbled(offers))
	defer srv.Close()
	told := new(changes)
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil, transport.WithTrace(told.trace()),
		transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond, MaxRefused: 10 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	for n := range 6 {
		if got := await.From(t, "request", offers); (got == "") != (n%2 == 1) {
			t.Errorf("request %d offers %q", n, got)
		}
	}
	lis.Close()
	n := 0
	for _, c := range told.take() {
		if c.Refused > 0 {
			if n++; c.Refused != n || !errors.Is(c.Err, mux.ErrProtocol) {
				t.Errorf("refusal %d: %+v", n, c)
			}
		}
	}
	if n < 2 {
		t.Errorf("%d refusals", n)
	}
}
