package webtransport_test

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
)

// A mouthpiece lets as many packets of a client through as it is told to, and hands over
// the first of the others.
type mouthpiece struct {
	net.PacketConn
	held chan []byte

	mu      sync.Mutex // guards below
	through int
}

// newMouthpiece returns a mouthpiece on a UDP port, which is closed when t is done.
func newMouthpiece(t *testing.T, through int) *mouthpiece {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return &mouthpiece{PacketConn: socket, held: make(chan []byte, 1), through: through}
}

func (m *mouthpiece) WriteTo(p []byte, to net.Addr) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.through > 0 {
		m.through--
		return m.PacketConn.WriteTo(p, to)
	}
	select {
	case m.held <- slices.Clone(p):
	default:
	}
	return len(p), nil
}

// Without these methods quic-go prints on standard error that it cannot have larger
// buffers.
func (*mouthpiece) SetReadBuffer(int) error  { return nil }
func (*mouthpiece) SetWriteBuffer(int) error { return nil }

// begin makes a client of s begin a handshake that it does not finish. end ends it.
func (s *server) begin(t *testing.T, socket net.PacketConn) (end func()) {
	t.Helper()
	config := s.tls.Clone()
	config.NextProtos, config.ServerName = []string{http3.NextProtoH3}, "127.0.0.1"
	ctx, cancel := context.WithCancel(t.Context())
	ended := start(func() error { _, err := quic.Dial(ctx, socket, s.Addr(), config, nil); return err })
	return func() {
		cancel()
		if await.From(t, "Dial", ended) == nil {
			t.Error("a client that does not finish its handshake is connected")
		}
	}
}

// initials are the first packets of n clients.
func (s *server) initials(t *testing.T, n int) [][]byte {
	t.Helper()
	packets := make([][]byte, n)
	for i := range packets {
		client := newMouthpiece(t, 0)
		end := s.begin(t, client)
		packets[i] = await.From(t, "the first packet of a client", client.held)
		end()
		client.Close()
	}
	return packets
}

// A footprint is the memory and goroutines of the process.
type footprint struct {
	memory     int64 // of the heap and of stacks, in bytes
	goroutines int
}

func measure() footprint {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()}
}

// flood sends rate of packets to s each second, in bursts, until ctx ends. It returns the
// largest footprint meanwhile.
func (s *server) flood(ctx context.Context, from net.PacketConn, packets [][]byte, rate int) (most footprint) {
	const bursts = 50 // each second
	tick := time.NewTicker(time.Second / bursts)
	defer tick.Stop()
	for sent := 0; ; {
		for range rate / bursts {
			from.WriteTo(packets[sent%len(packets)], s.Addr())
			sent++
		}
		now := measure()
		most = footprint{max(most.memory, now.memory), max(most.goroutines, now.goroutines)}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return most
		}
	}
}

// Visits are clients that connect one after the other.
type visits struct {
	took []time.Duration // by each client, also by one that did not get in
	errs []error         // of those
}

// dials has clients connect to s for a second.
func (v *visits) dials(t *testing.T, s *server, c *webtransport.Carrier) {
	t.Helper()
	for end := time.Now().Add(time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		began := time.Now()
		conn, err := dial(t, c, s.url, nil, s.tls)
		v.took = append(v.took, time.Since(began))
		if err != nil {
			v.errs = append(v.errs, err)
			continue
		}
		conn.Close()
	}
}

// within returns how long half of them took, and 99 %.
func (v *visits) within() (half, nearlyAll time.Duration) {
	slices.Sort(v.took)
	return v.took[len(v.took)/2], v.took[len(v.took)*99/100]
}

// TestFloodOfInitials sends 1,500 first packets of connections each second, which is 15
// Mbit/s, from any source address. Honest clients must get in meanwhile: 99 % of them
// within three times as long as without the flood.
func TestFloodOfInitials(t *testing.T) {
	leak.Check(t)
	const rate, rounds = 1500, 3
	const memory, goroutines = 100 << 20, 1000
	const busy = 15 * time.Millisecond     // several times as long as on a machine that is free
	const dropped = 150 * time.Millisecond // a client whose packet is dropped takes 200 ms
	c := webtransport.New()
	s := listenLimited(t, c, 1024, 10*time.Second)
	packets := s.initials(t, rate)
	attacker := newMouthpiece(t, math.MaxInt)
	var most footprint // beyond that before the flood
	var calm, harassed visits
	for range rounds { // each with its own baseline
		calm.dials(t, s, c)
		runtime.GC()
		before := measure()
		ctx, cancel := context.WithCancel(t.Context())
		flood := start(func() footprint { return s.flood(ctx, attacker, packets, rate) })
		harassed.dials(t, s, c)
		cancel()
		now := <-flood
		most = footprint{max(most.memory, now.memory-before.memory), max(most.goroutines, now.goroutines-before.goroutines)}
	}
	half, nearlyAll := harassed.within()
	usualHalf, usual := calm.within()
	t.Logf("%d MiB and %d goroutines; half of %d clients get in within %v, 99 %% within %v; without the flood, half of %d within %v, 99 %% within %v",
		most.memory>>20, most.goroutines,
		len(harassed.took), half, nearlyAll, len(calm.took), usualHalf, usual)
	if most.memory > memory {
		t.Errorf("%d MiB of memory, want %d at most", most.memory>>20, memory>>20)
	}
	if most.goroutines > goroutines {
		t.Errorf("%d goroutines, want %d at most", most.goroutines, goroutines)
	}
	if usual > busy {
		t.Logf("this machine is too busy to tell how long honest clients take; %d of them did not get in", len(harassed.errs))
		return
	}
	if limit := max(3*usual, dropped); nearlyAll > limit {
		t.Errorf("99 %% of the honest clients get in within %v, want %v at most", nearlyAll, limit)
	}
	if err := errors.Join(append(calm.errs, harassed.errs...)...); err != nil {
		t.Error("some do not get in:", err)
	}
}

// A slowSocket takes a while to send a Retry packet, as a busy machine does.
type slowSocket struct {
	net.PacketConn
	answers, retries atomic.Int32
}

func (s *slowSocket) WriteTo(p []byte, to net.Addr) (int, error) {
	s.answers.Add(1)
	if p[0]&0xf0 == 0xf0 { // RFC 9000, section 17.2.5
		s.retries.Add(1)
		<-time.After(time.Millisecond)
	}
	return s.PacketConn.WriteTo(p, to)
}

// TestEveryInitialIsChallenged sends first packets faster than the server sends Retry
// packets. The server may drop none: an honest client's may be among them.
func TestEveryInitialIsChallenged(t *testing.T) {
	leak.Check(t)
	const unverified, burst, bursts = 64, 32, 5
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	slow := &slowSocket{PacketConn: socket}
	c := webtransport.New()
	config, client := newTLS(t)
	e, err := c.ListenHTTP3(&http3.Server{TLSConfig: config, Handler: keeping(t, c)}, slow)
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, e, client)
	packets := s.initials(t, unverified+burst*bursts)
	attacker := newMouthpiece(t, len(packets))
	began := time.Now()
	for i, packet := range packets {
		attacker.WriteTo(packet, s.Addr())
		if sent := i + 1; sent%burst == 0 { // more could overflow the socket
			await.Until(t, "the server has answered every client", func() bool { return int(slow.answers.Load()) >= sent })
		}
	}
	if time.Since(began) > 4*time.Second {
		t.Skip("this machine is so busy that the first clients make room for others")
	}
	if got := slow.retries.Load(); got != burst*bursts {
		t.Errorf("%d of %d clients are challenged", got, burst*bursts)
	}
}

// TestHalfHellos uses clients that stop in the middle of the first message of their
// handshake, and take all places. Others must get in well within the handshake timeout.
func TestHalfHellos(t *testing.T) {
	leak.Check(t)
	const places, soon = 20, 4 * time.Second
	c := webtransport.New()
	s := listenLimited(t, c, places, 10*time.Second)
	halves := s.initials(t, places) // a ClientHello is two packets long
	attacker := newMouthpiece(t, places)
	began := time.Now()
	for _, half := range halves {
		attacker.WriteTo(half, s.Addr())
	}
	if _, err := dial(t, c, s.url, nil, s.tls); err == nil {
		t.Error("a client gets in at once")
	}
	await.Until(t, "a client gets in", func() bool {
		_, err := dial(t, c, s.url, nil, s.tls)
		return err == nil
	})
	took := time.Since(began)
	t.Logf("newcomers get in after %v", took)
	if took > soon {
		t.Errorf("newcomers get in after %v, want %v at most", took, soon)
	}
}

// TestHeaderBombs sends small requests with a large header: two bytes refer to a field of
// 60 or so. None may reach the handler.
func TestHeaderBombs(t *testing.T) {
	leak.Check(t)
	const requests, memory = 60, 8 << 20
	c := webtransport.New()
	var entered atomic.Int32
	s := listen(t, c, func(http.ResponseWriter, *http.Request) { entered.Add(1) })
	bomb := slices.Repeat([]qpack.HeaderField{
		{Name: "content-security-policy", Value: "script-src 'none'; object-src 'none'; base-uri 'none'"},
	}, 7000)
	conn := s.dialQUIC(t)
	runtime.GC()
	before := measure()
	answers := make(chan string, requests)
	for range requests {
		request := ask(t, conn, "other", bomb...)
		go func() { answers <- statusOf(request) }()
	}
	for range requests {
		if got := await.From(t, "the answer to a header that is too large", answers); got != "431" {
			t.Errorf("a header that is too large is answered %s, want 431", got)
		}
	}
	runtime.GC()
	if more := measure().memory - before.memory; more > memory {
		t.Errorf("%d KiB of memory are left, want %d at most", more>>10, memory>>10)
	}
	if n := entered.Load(); n > 0 {
		t.Errorf("%d of these requests got to the handler", n)
	}
}
