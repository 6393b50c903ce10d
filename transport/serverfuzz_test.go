package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// An attack is what a hostile client does with an input. Its friend is a client of
// the same carrier and multiplexer that means well.
type attack struct {
	friend stack
	do     func(s *siege, t *testing.T, says []byte)
}

// A stack is a carrier and a multiplexer, by their names.
type stack struct{ carrier, mux string }

// attacks are chosen by the first byte of an input.
var attacks = []attack{
	speaking("ws", "yamux"),
	speaking("ws", "smux"),
	speaking("webtransport", "yamux"),
	speaking("webtransport", "smux"),
	speaking("webtransport", "native"),
	speaking("mem", "yamux"),
	speaking("mem", "smux"),
	{stack{"ws", "yamux"}, (*siege).saysOnTCP},
	{stack{"ws", "yamux"}, (*siege).saysOnWebSocket},
	{stack{"webtransport", "native"}, (*siege).saysOnUDP},
	{stack{"webtransport", "native"}, (*siege).saysOnQUIC},
	{stack{"webtransport", "native"}, (*siege).saysOnStreams},
	speaking("ws", "qmux"),
	speaking("webtransport", "qmux"),
	speaking("mem", "qmux"),
}

const (
	// often is the number of attacks between two closer looks at the server.
	often = 50

	// What may be left of them: sessions, goroutines, and memory, of which the fuzzing
	// engine takes 100 MiB.
	maxLeftSessions   = 10
	maxLeftGoroutines = 30
	maxLeftMemory     = 160 << 20
)

// In FuzzServer hostile clients attack a server, by every carrier and with every
// multiplexer, before a session and in it. Their sessions end, the server still
// serves others, and it keeps nothing of what has ended.
//
// A process has one server, which starts with the first input. One server for
// each input would cost more than the attacks, and would not show what adds up.
func FuzzServer(f *testing.F) {
	leak.Check(f)
	s := new(siege)
	f.Cleanup(s.close)
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 {
			t.Skip("names no attack")
		}
		s.once.Do(func() { s.start(t) })
		watchdog := time.AfterFunc(2*patience, func() { panic(fmt.Sprintf("%q takes more than %v", input, 2*patience)) })
		defer watchdog.Stop()
		a := attacks[int(input[0])%len(attacks)]
		a.do(s, t, input[1:])
		echoes(t, s.friends[a.friend], 5)
		if s.attacks++; s.attacks%often == 0 {
			s.befriend(t, a.friend)
			s.settle(t)
		}
		s.checkPanic(t)
	})
}

// A siege is a server with friends, and clients that attack it.
type siege struct {
	once    sync.Once
	server  *transport.Server
	web     *http.Server
	ends    []carrier.Endpoint
	places  map[string]place // by carrier
	trust   *tls.Config
	arrived chan *transport.Dialer
	friends map[stack]*transport.Dialer
	attacks int // so far

	goroutines int // before the first attack
	heap       int64

	mu       sync.Mutex // guards below
	panicked string
}

// A place is where a carrier reaches the server.
type place struct {
	by  carrier.Carrier
	url *url.URL
}

var muxers = map[string]mux.Muxer{
	"yamux": yamuxmux.New(), "smux": smuxmux.New(), "qmux": qmux.New(), "native": nativemux.New(),
}

func (s *siege) start(t *testing.T) {
	network, web := mem.New(), ws.New()
	s.arrived = make(chan *transport.Dialer, 100)
	s.server = transport.NewServer(transport.EndpointHandlerFunc(s.meet),
		transport.WithCarriers(web, webtransport.New(), network),
		transport.WithMuxes(slices.Collect(maps.Values(muxers))...),
		transport.WithAcceptFromClient(echo),
		transport.WithMaxHandshakes(maxLeftSessions), transport.WithMaxSessions(len(attacks)+maxLeftSessions))
	certificate, err := webtransport.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	s.trust = &tls.Config{RootCAs: roots}
	s.places = map[string]place{
		"ws":           {web, &url.URL{Scheme: "ws", Host: s.serveWeb(t)}},
		"webtransport": s.listen(t, webtransport.New(), "127.0.0.1:0", "https", certificate),
		"mem":          s.listen(t, network, "server", "mem", certificate),
	}
	s.friends = make(map[stack]*transport.Dialer)
	for _, a := range attacks {
		if s.friends[a.friend] == nil {
			s.friends[a.friend] = s.befriend(t, a.friend)
		}
	}
	s.goroutines, s.heap = runtime.NumGoroutine(), heap()
}

func (s *siege) serveWeb(t *testing.T) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.web = &http.Server{Handler: watched{s}, ReadTimeout: patience, ErrorLog: quiet}
	go s.web.Serve(ln)
	return ln.Addr().String()
}

func (s *siege) listen(t *testing.T, by carrier.Carrier, addr, scheme string, certificate tls.Certificate) place {
	e, err := by.(carrier.Listener).Listen(addr, &tls.Config{Certificates: []tls.Certificate{certificate}}, watched{s})
	if err != nil {
		t.Fatal(err)
	}
	s.ends = append(s.ends, e)
	go e.Serve()
	return place{by, &url.URL{Scheme: scheme, Host: e.Addr().String()}}
}

// watched notices panics of handlers, from which HTTP servers recover.
type watched struct{ s *siege }

func (w watched) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	defer w.s.recover()
	w.s.server.ServeHTTP(rw, r)
}

func (s *siege) recover() {
	if v := recover(); v != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.panicked = fmt.Sprintf("%v\n%s", v, debug.Stack())
	}
}

func (s *siege) checkPanic(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panicked != "" {
		t.Error("panic:", s.panicked)
		s.panicked = ""
	}
}

// meet opens a connection to a client that is not known as a friend, so that it has
// something to attack.
func (s *siege) meet(d *transport.Dialer) {
	defer s.recover()
	name := d.Header.Get("Name")
	if name != "" {
		s.arrived <- d
	}
	if name == "friend" {
		return
	}
	if c, err := d.Dial(); err == nil {
		echo(d, c)
	}
}

// meeting returns the Dialer of a client that has connected.
func (s *siege) meeting(t *testing.T, name string) *transport.Dialer {
	t.Helper()
	for {
		if d := await.From(t, "Dialer", s.arrived); d.Header.Get("Name") == name {
			return d
		}
	}
}

// befriend connects a client that means well, and expects that it is served.
func (s *siege) befriend(t *testing.T, st stack) *transport.Dialer {
	t.Helper()
	p := s.places[st.carrier]
	lis, err := transport.DialAndListenContext(within(t), p.url.String(), http.Header{"Name": {"friend"}},
		transport.WithCarriers(p.by), transport.WithMuxes(muxers[st.mux]), transport.WithTLSConfig(s.trust))
	if err != nil {
		t.Fatal("a friend is turned away:", err)
	}
	go serveEcho(lis)
	d := s.meeting(t, "friend")
	echoes(t, d, 100_000)
	if s.friends[st] != nil { // there is one already
		lis.Close()
		await.From(t, "end of a friend's session", d.Done())
	}
	return d
}

// settle waits until the server has got over the attacks so far.
func (s *siege) settle(t *testing.T) {
	t.Helper()
	var goroutines int
	var grown int64
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		goroutines, grown = runtime.NumGoroutine()-s.goroutines, heap()-s.heap
		if goroutines <= maxLeftGoroutines && grown <= maxLeftMemory {
			return
		}
	}
	t.Errorf("of %d attacks there are %d goroutines left, and %d MiB", s.attacks, goroutines, grown>>20)
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func (s *siege) close() {
	if s.server == nil {
		return
	}
	s.server.Close()
	s.web.Close()
	for _, e := range s.ends {
		e.Close()
	}
}

// connect makes the connection of a session.
func (s *siege) connect(t *testing.T, by, protocol string) (carrier.Conn, *transport.Dialer) {
	t.Helper()
	name := strconv.Itoa(s.attacks)
	p := s.places[by]
	conn, err := p.by.Dial(within(t), &carrier.Request{
		URL:       p.url,
		Header:    http.Header{"Name": {name}},
		Protocols: []string{protocol},
		TLS:       s.trust,
	})
	if err != nil {
		t.Fatal("dial:", err)
	}
	return conn, s.meeting(t, name)
}

// awaitGone expects the session of a client that says nothing more to end.
func awaitGone(t *testing.T, d *transport.Dialer) {
	t.Helper()
	await.From(t, "end of the session", d.Done())
	if err := d.Err(); !errors.Is(err, transport.ErrClientGone) {
		t.Errorf("the session ended with %v, want transport.ErrClientGone", err)
	}
}

// speaking says anything where frames or messages of a multiplexer are expected.
func speaking(by, with string) attack {
	return attack{stack{by, with}, func(s *siege, t *testing.T, says []byte) {
		conn, d := s.connect(t, by, muxers[with].Protocol())
		defer conn.Close()
		go io.Copy(io.Discard, conn)
		conn.Write(says)
		conn.(carrier.CloseWriter).CloseWrite()
		awaitGone(t, d)
	}}
}

// saysOnTCP says anything before there is a session.
func (s *siege) saysOnTCP(t *testing.T, says []byte) {
	conn, err := net.Dial("tcp", s.places["ws"].url.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(says)
	conn.(*net.TCPConn).CloseWrite()
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server does not hang up")
	}
}

// saysOnWebSocket says anything where frames of WebSocket are expected.
func (s *siege) saysOnWebSocket(t *testing.T, says []byte) {
	name := strconv.Itoa(s.attacks)
	dialer := websocket.Dialer{Subprotocols: []string{muxers["yamux"].Protocol()}}
	conn, _, err := dialer.DialContext(within(t), s.places["ws"].url.String(), http.Header{"Name": {name}})
	if err != nil {
		t.Fatal("dial:", err)
	}
	defer conn.Close()
	d := s.meeting(t, name)
	go io.Copy(io.Discard, conn.NetConn())
	conn.NetConn().Write(says)
	conn.NetConn().(*net.TCPConn).CloseWrite()
	awaitGone(t, d)
}

// saysOnUDP sends anything as a packet, which has to have some size to be looked at.
func (s *siege) saysOnUDP(t *testing.T, says []byte) {
	conn, err := net.Dial("udp", s.places["webtransport"].url.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(says)
	conn.Write(append(says, make([]byte, 1200)...))
}

// saysOnQUIC says anything where a request of HTTP/3 is expected.
func (s *siege) saysOnQUIC(t *testing.T, says []byte) {
	config := s.trust.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	conn, err := quic.DialAddr(within(t), s.places["webtransport"].url.Host, config, nil)
	if err != nil {
		t.Fatal("dial:", err)
	}
	defer conn.CloseWithError(0, "")
	str, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	str.Write(says)
	str.Close()
	// The server does not answer an incomplete request.
	str.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	io.Copy(io.Discard, str)
}

// saysOnStreams says anything on streams of a session, those of the server and
// those that the client must not open.
func (s *siege) saysOnStreams(t *testing.T, says []byte) {
	conn, d := s.connect(t, "webtransport", muxers["native"].Protocol())
	defer conn.Close()
	conn.Write([]byte{0, 1}) // hello
	streams := conn.(carrier.StreamConn)
	own, err := streams.OpenStream(within(t))
	if err != nil {
		t.Fatal("open:", err)
	}
	theirs, err := streams.AcceptStream(within(t))
	if err != nil {
		t.Fatal("accept:", err)
	}
	for _, st := range []carrier.Stream{own, theirs} {
		st.Write(says)
		if len(says)%2 == 0 {
			st.CloseWrite()
		} else {
			st.CancelWrite(uint32(len(says)))
		}
	}
	conn.(carrier.CloseWriter).CloseWrite()
	awaitGone(t, d)
}
