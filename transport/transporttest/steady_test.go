package transporttest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

var heavy = flag.Bool("heavy", false, "run all rows of TestSteadyReaders, which takes a quarter of an hour")

// TestSteadyReaders is muxtest.SteadyReaders with the default limits, and with as many
// streams as it takes to reach them. Some rows run only on demand:
//
//	go test ./transport/transporttest -run TestSteadyReaders/300_slow/ws-yamux -heavy -v
func TestSteadyReaders(t *testing.T) {
	if !*heavy {
		t.Parallel() // processes of their own
	}
	for _, row := range []struct {
		name  string
		heavy bool
		test  func(t *testing.T, s *steadySession)
	}{
		{"20 slow", true, slow(20)},
		{"50 slow", false, slow(50)},
		{"100 slow", true, slow(100)},
		{"300 slow", true, slow(300)},
		{"600 slow", true, slow(600)},
		{"2000 slow", true, slow(2000)},
		{"300 in bursts", true, bursts(300)},
		{"64 echoes of 1 MiB", false, echoes(64, 1<<20)},
		{"64 echoes of 8 MiB", true, echoes(64, 8<<20)},
		{"both ends full", true, bothEndsFull},
		{"100 abandoned", false, abandoned(100, 100*time.Millisecond)},
		{"400 abandoned", true, abandoned(400, time.Second)},
		{"400 at 2 KiB a second", true, trickles},
	} {
		t.Run(row.name, func(t *testing.T) {
			switch {
			case *heavy:
			case row.heavy:
				t.Skip("takes long: run it with -heavy")
			default:
				long.Only(t)
			}
			for _, stack := range steadyStacks() {
				t.Run(stack.name, func(t *testing.T) {
					run := func(t *testing.T) {
						leak.Check(t)
						row.test(t, newSteadySession(t, stack))
					}
					if *heavy { // which takes all processors
						run(t)
					} else {
						suite.Apart(t, run)
					}
				})
			}
		})
	}
}

type steadyStack struct {
	name   string
	target carriertest.Target
	muxer  mux.Muxer
}

func steadyStacks() (stacks []steadyStack) {
	for _, c := range []struct {
		name   string
		target carriertest.Target
	}{
		{"ws", carriertest.Target{Carrier: ws.New()}},
		{"wss", carriertest.Target{Carrier: ws.New(), TLS: true}},
		{"webtransport", carriertest.Target{Carrier: webtransport.New(), TLS: true}},
	} {
		muxers := []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New()}
		if _, ok := c.target.Carrier.(carrier.StreamCarrier); ok {
			muxers = append(muxers, nativemux.New())
		}
		for _, m := range muxers {
			stacks = append(stacks, steadyStack{c.name + "-" + m.Name(), c.target, m})
		}
	}
	return stacks
}

// A steadySession is a session between a server and a device, with default limits.
type steadySession struct {
	dialer   *transport.Dialer
	listener *transport.Listener
	echo     net.Conn // which the device serves beside all others
}

// steadyPatience bounds a row.
const steadyPatience = 2 * time.Minute

func newSteadySession(t *testing.T, stack steadyStack) *steadySession {
	t.Helper()
	dialers := make(chan *transport.Dialer, 1)
	server := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }),
		transport.WithCarriers(stack.target.Carrier), transport.WithMuxes(stack.muxer))
	t.Cleanup(func() { server.Close() })
	url, tls, stop := stack.target.Serve(t, server)
	defer stop()
	ctx, cancel := context.WithTimeout(t.Context(), steadyPatience)
	defer cancel()
	listener, err := transport.DialAndListenContext(ctx, url, nil,
		transport.WithCarriers(stack.target.Carrier), transport.WithMuxes(stack.muxer), transport.WithTLSConfig(tls))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s := &steadySession{dialer: <-dialers, listener: listener}
	var device net.Conn
	s.echo, device = s.open(t)
	go io.Copy(device, device)
	return s
}

// open dials the device. Only one goroutine may do it at a time.
func (s *steadySession) open(t *testing.T) (server, device net.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), steadyPatience)
	defer cancel()
	server, err := s.dialer.DialContext(ctx, "", "")
	if err != nil {
		t.Fatal("dial:", err)
	}
	if device, err = s.listener.Accept(); err != nil {
		t.Fatal("accept:", err)
	}
	return server, device
}

// ping makes the device echo something on the stream that it serves.
func (s *steadySession) ping() (time.Duration, error) {
	begun := time.Now()
	s.echo.SetDeadline(begun.Add(steadyPatience))
	if _, err := io.WriteString(s.echo, "ping"); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(s.echo, make([]byte, 4))
	return time.Since(begun), err
}

// pings pings until over is closed, and returns how long they took, in order.
func (s *steadySession) pings(over <-chan struct{}) (took []time.Duration, err error) {
	for {
		select {
		case <-over:
			slices.Sort(took)
			return took, nil
		case <-time.After(100 * time.Millisecond):
		}
		d, err := s.ping()
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
}

// readAt reads size bytes, chunk of them at a time, and rests.
func readAt(c net.Conn, size, chunk int64, rest time.Duration) error {
	for read := int64(0); read < size; {
		n, err := io.CopyN(io.Discard, struct{ io.Reader }{c}, min(chunk, size-read))
		if read += n; err != nil {
			return fmt.Errorf("read after %d of %d bytes: %w", read, size, err)
		}
		if read < size {
			<-time.After(rest)
		}
	}
	return nil
}

// send writes data and ends the stream.
func send(c net.Conn, data []byte) error {
	if _, err := c.Write(data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return c.(mux.Stream).CloseWrite()
}

// A tally is what became of streams.
type tally struct {
	all    sync.WaitGroup
	failed atomic.Int32

	mu   sync.Mutex
	last error
}

func (y *tally) run(f func() error) {
	y.all.Go(func() {
		if err := f(); err != nil {
			y.failed.Add(1)
			y.mu.Lock()
			defer y.mu.Unlock()
			y.last = err
		}
	})
}

// wait expects that all are done in time, and that none has failed.
func (y *tally) wait(t *testing.T, of int) {
	t.Helper()
	done := make(chan struct{})
	go func() { y.all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(steadyPatience):
		t.Fatalf("not done after %v", steadyPatience)
	}
	if n := y.failed.Load(); n > 0 {
		t.Errorf("%d of %d fail, one of them with: %v", n, of, y.last)
	}
}

const (
	receiveBuffer = 64 << 20 // by default
	steadyWindow  = 256 << 10
)

// mostHeap is what the session of n streams may take: what its limit says, what streams
// cost on both ends, and queues and the like.
func mostHeap(n int) int64 { return receiveBuffer + int64(n)*2*16<<10 + 32<<20 }

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// slow reads n downloads of 1 MiB, 64 KiB every 300 ms.
func slow(n int) func(t *testing.T, s *steadySession) {
	return func(t *testing.T, s *steadySession) {
		s.downloads(t, n, 1<<20, 300*time.Millisecond)
	}
}

// bursts reads n downloads of 512 KiB, 64 KiB every 2 s.
func bursts(n int) func(t *testing.T, s *steadySession) {
	return func(t *testing.T, s *steadySession) {
		s.downloads(t, n, 512<<10, 2*time.Second)
	}
}

func (s *steadySession) downloads(t *testing.T, n int, size int64, rest time.Duration) {
	data := make([]byte, size)
	before := heap()
	var streams tally
	begun := time.Now()
	for range n {
		server, device := s.open(t)
		go send(device, data)
		streams.run(func() error { return readAt(server, size, 64<<10, rest) })
	}
	over := make(chan struct{})
	var watching sync.WaitGroup
	var took []time.Duration
	var pingErr error
	watching.Go(func() { took, pingErr = s.pings(over) })
	var most int64
	watching.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(700 * time.Millisecond):
				most = max(most, heap()-before)
			}
		}
	})
	streams.wait(t, n)
	lasted := time.Since(begun)
	close(over)
	watching.Wait()
	if pingErr != nil || len(took) == 0 {
		t.Fatalf("%d pings on another stream: %v", len(took), pingErr)
	}
	slowest := took[len(took)-1]
	t.Logf("%.1f s, heap %d MiB, pings %v to %v", lasted.Seconds(), most>>20, took[len(took)/2], slowest)
	patience := 500 * time.Millisecond
	if rest > patience { // readers that all rest at once stop everything while the buffer is full
		patience += rest
	}
	if slowest > patience && n <= 300 {
		t.Errorf("a ping takes %v, want %v at most", slowest, patience)
	}
	if most > mostHeap(n) {
		t.Errorf("heap %d MiB, want %d at most", most>>20, mostHeap(n)>>20)
	}
}

// echoes sends size bytes on n streams at once, which the device sends back.
func echoes(n int, size int64) func(t *testing.T, s *steadySession) {
	return func(t *testing.T, s *steadySession) {
		data := make([]byte, size)
		var streams tally
		for range n {
			server, device := s.open(t)
			go func() {
				io.Copy(device, device)
				device.(mux.Stream).CloseWrite()
			}()
			go send(server, data)
			streams.run(func() error { return readAt(server, size, size, 0) })
		}
		streams.wait(t, n)
	}
}

// bothEndsFull uses 300 streams on which each end writes a window before it reads one. That is
// more than either end holds, but not much more, so that most have soon written, and are read.
func bothEndsFull(t *testing.T, s *steadySession) {
	const n = 300
	data := make([]byte, steadyWindow)
	var streams tally
	all := make(chan struct{})
	for range n {
		server, device := s.open(t)
		for _, c := range []net.Conn{server, device} {
			streams.run(func() error {
				<-all
				defer c.Close()
				if _, err := c.Write(data); err != nil {
					return fmt.Errorf("write: %w", err)
				}
				return readAt(c, steadyWindow, steadyWindow, 0)
			})
		}
	}
	close(all)
	streams.wait(t, 2*n)
}

// abandoned uses n streams on which the device sends and nobody reads. Another stream goes on
// within most.
func abandoned(n int, most time.Duration) func(t *testing.T, s *steadySession) {
	return func(t *testing.T, s *steadySession) {
		s.stall(t, n)
		var slowest time.Duration
		begun := time.Now()
		server, device := s.open(t)
		go send(device, make([]byte, 1<<20))
		if err := readAt(server, 1, 1, 0); err != nil {
			t.Fatal("the first byte of another stream:", err)
		}
		first := time.Since(begun)
		if err := readAt(server, 1<<20-1, 1<<20, 0); err != nil {
			t.Fatal("the rest of another stream:", err)
		}
		all := time.Since(begun)
		for range 20 {
			took, err := s.ping()
			if err != nil {
				t.Fatal("ping:", err)
			}
			slowest = max(slowest, took)
		}
		t.Logf("another stream: first byte after %v, 1 MiB after %v; pings at most %v", first, all, slowest)
		if first > most || slowest > most {
			t.Errorf("the first byte takes %v and a ping %v, want %v at most", first, slowest, most)
		}
	}
}

// stall fills a window on each of n streams, as far as there is room.
func (s *steadySession) stall(t *testing.T, n int) {
	data := make([]byte, steadyWindow)
	var writing sync.WaitGroup
	for range n {
		_, device := s.open(t)
		device.SetWriteDeadline(time.Now().Add(5 * time.Second))
		writing.Go(func() { device.Write(data) })
	}
	writing.Wait()
}

// trickles reads 2 KiB/s from each of 400 streams. Another stream goes on within a second.
func trickles(t *testing.T, s *steadySession) {
	const n = 400
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	data := make([]byte, 1<<20)
	var resets, others atomic.Int32
	for range n {
		server, device := s.open(t)
		go device.Write(data)
		readers.Go(func() {
			switch err := trickle(ctx, server); {
			case errors.Is(err, mux.ErrReset):
				resets.Add(1)
			case err != nil:
				others.Add(1)
			}
		})
	}
	<-time.After(time.Second)
	var slowest time.Duration
	for begun := time.Now(); time.Since(begun) < 10*time.Second; {
		server, device := s.open(t)
		asked := time.Now()
		go send(device, data[:256<<10])
		if err := readAt(server, 1, 1, 0); err != nil {
			t.Fatal("a stream that is read:", err)
		}
		slowest = max(slowest, time.Since(asked))
		if err := readAt(server, 256<<10-1, 256<<10, 0); err != nil {
			t.Fatal("a stream that is read:", err)
		}
		server.Close()
	}
	t.Logf("a stream that is read goes on after %v at most; %d of %d others are reset, as they would take minutes, and %d fail otherwise",
		slowest, resets.Load(), n, others.Load())
	if slowest > time.Second {
		t.Errorf("a stream that is read waits for %v, want a second at most", slowest)
	}
}

// trickle reads 2 KiB/s until ctx ends, which is no error.
func trickle(ctx context.Context, c net.Conn) error {
	buf := make([]byte, 512)
	for {
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := c.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}
