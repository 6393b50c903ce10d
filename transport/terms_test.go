package transport_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/transport"
)

const (
	greetingField  = "Backdial-Greeting"
	keepAliveField = "Backdial-Keep-Alive"
)

// greeting is what an end that uses qmux with the defaults says.
func greeting(config mux.Config) string {
	m := qmux.New().(mux.Greeter)
	return m.Protocol() + "=:" + base64.StdEncoding.EncodeToString(m.Greeting(config)) + ":"
}

// A beginning is a multiplexer that tells how its sessions begin.
type beginning struct {
	mux.Greeter
	begins chan mux.Config
}

func newBeginning() beginning { return beginning{qmux.New().(mux.Greeter), make(chan mux.Config, 1)} }

func (m beginning) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	m.begins <- config
	return m.Greeter.DialSide(conn, config)
}

func (m beginning) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	m.begins <- config
	return m.Greeter.ListenSide(conn, config)
}

// meets connects a client with a server, on both carriers that need no certificate, and
// returns how their sessions begin.
func meets(t *testing.T, client transport.ClientOption, server transport.ServerOption) (c, s mux.Config) {
	t.Helper()
	ours, theirs := newBeginning(), newBeginning()
	dialers := make(chan *transport.Dialer, 1)
	srv := serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithMuxes(theirs), server)
	web := httptest.NewServer(srv)
	t.Cleanup(web.Close)
	lis, err := transport.DialAndListenContext(within(t), web.URL, nil, transport.WithMuxes(ours), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go serveEcho(lis)
	d := <-dialers
	echoes(t, d, 100_000)
	for name := range d.Header {
		if strings.HasPrefix(name, "Backdial-") {
			t.Errorf("the Dialer's header has %s", name)
		}
	}
	return <-ours.begins, <-theirs.begins
}

// TestGreeting expects the ends of a session to know each other's parameters when it begins.
func TestGreeting(t *testing.T) {
	leak.Check(t)
	larger := transport.WithLimits(mux.Config{Window: 1 << 20, MaxStreams: 7})
	client, server := meets(t, larger, transport.WithAcceptFromClient(func(*transport.Dialer, net.Conn) {}))
	m := qmux.New().(mux.Greeter)
	if want := m.Greeting(mux.Config{Window: 1 << 20, MaxStreams: 7}); !bytes.Equal(server.Greeting, want) {
		t.Errorf("the server knows of its client % x, want % x", server.Greeting, want)
	}
	if want := m.Greeting(mux.Config{MaxStreams: 256}); !bytes.Equal(client.Greeting, want) {
		t.Errorf("the client knows of its server % x, want % x", client.Greeting, want)
	}
}

// TestGreetingInMemory is TestGreeting on a carrier without bytes of HTTP.
func TestGreetingInMemory(t *testing.T) {
	leak.Check(t)
	network, ours, theirs := mem.New(), newBeginning(), newBeginning()
	s := serverFunc(t, nil, transport.WithCarriers(network), transport.WithMuxes(theirs))
	s.Addr = "server"
	go s.ListenAndServe()
	var lis *transport.Listener
	for err := errors.New("not yet"); err != nil; {
		lis, err = transport.DialAndListenContext(within(t), "mem://server", nil, transport.WithCarriers(network), transport.WithMuxes(ours))
	}
	defer lis.Close()
	if c, s := <-ours.begins, <-theirs.begins; c.Greeting == nil || s.Greeting == nil {
		t.Error("an end knows nothing of the other")
	}
}

// asks sends the handshake of a client, with some header fields.
func asks(t *testing.T, url string, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{qmux.New().Protocol()}}
	conn, answer, err := d.Dial(strings.Replace(url, "http", "ws", 1), header)
	if err == nil {
		conn.SetReadDeadline(time.Now().Add(patience))
		t.Cleanup(func() { conn.Close() })
	}
	return conn, answer, err
}

// TestFirstStream expects the server's first stream, with its data, to come without anything
// that the client says after the handshake. A client that has not said anything in the
// handshake either, such as a browser, has to say its parameters first, and is not greeted.
func TestFirstStream(t *testing.T) {
	leak.Check(t)
	s := serverFunc(t, func(d *transport.Dialer) {
		if c, err := d.Dial(); err != nil {
			t.Error(err)
		} else if _, err := io.WriteString(c, "from the server"); err != nil {
			t.Error(err)
		}
	})
	web := httptest.NewServer(s)
	defer web.Close()
	for _, header := range []http.Header{{greetingField: {greeting(mux.Config{})}}, nil} {
		conn, answer, err := asks(t, web.URL, header)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := answer.Header.Get(greetingField) != "", header != nil; got != want {
			t.Errorf("the request has %q, the answer %q", header, answer.Header)
		}
		if header == nil {
			conn.WriteMessage(websocket.BinaryMessage, parametersFrame(mux.Config{}))
		}
		var said []byte
		for !bytes.Contains(said, []byte("from the server")) {
			_, m, err := conn.ReadMessage()
			if err != nil {
				t.Fatalf("the server says %q, and then: %v", said, err)
			}
			said = append(said, m...)
		}
		if begins := []byte("\xffQS0\r\n\r\n"); !bytes.HasPrefix(said, begins) {
			t.Errorf("the server says %q, want its parameters first", said)
		}
		conn.Close()
	}
}

// parametersFrame is the frame with what an end says of itself.
func parametersFrame(config mux.Config) []byte {
	p := qmux.New().(mux.Greeter).Greeting(config)
	return append([]byte{0xff, 'Q', 'S', '0', '\r', '\n', '\r', '\n', 0x40 | byte(len(p)>>8), byte(len(p))}, p...)
}

// TestGreetingStripped has something on the way that removes the greeting from answers.
func TestGreetingStripped(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	web := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }))
	defer web.Close()
	url := stripping(t, strings.TrimPrefix(web.URL, "http://"), greetingField)
	lis, err := transport.DialAndListenContext(within(t), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go serveEcho(lis)
	d := <-dialers
	echoes(t, d, 100_000)
	if got := d.Info().Mux; got != "qmux" {
		t.Errorf("the session is of %s, want qmux", got)
	}
}

// TestBadTerms uses terms that no peer may send: each end says what is wrong.
func TestBadTerms(t *testing.T) {
	leak.Check(t)
	const key = "qmux-02.backdial.1="
	web := httptest.NewServer(serverFunc(t, nil))
	defer web.Close()
	for _, test := range []struct{ field, value, says string }{
		{greetingField, key + "AAAA", "is not a byte sequence of at most 512 bytes"},
		{greetingField, key + ":AAA:", "is not in Base64"},
		{greetingField, key + ":" + strings.Repeat("AAAA", 200) + ":", "is not a byte sequence of at most 512 bytes"},
		{greetingField, "other=:AAAA:, " + key + ":BA==:", "a parameter is cut short"},
		{greetingField, key + ":AAA=:", "parameter 0x0 is prohibited"},
		{keepAliveField, "soon", "is not a number of milliseconds"},
		{keepAliveField, "-1", "is not a number of milliseconds"},
	} {
		header := http.Header{test.field: {test.value}}
		_, answer, err := asks(t, web.URL, header)
		if answer == nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(answer.Body); answer.StatusCode != 400 || !strings.Contains(string(body), test.says) {
			t.Errorf("%s: the server answers %d %q, want 400 and %q", test.value, answer.StatusCode, body, test.says)
		}
		hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := websocket.Upgrader{Subprotocols: []string{qmux.New().Protocol()}}
			if conn, err := u.Upgrade(w, r, header); err != nil {
				t.Error(err)
			} else {
				conn.Close()
			}
		}))
		_, err = transport.DialAndListenContext(within(t), hostile.URL, nil)
		if err == nil || !strings.Contains(err.Error(), test.says) || !errors.Is(err, mux.ErrProtocol) {
			t.Errorf("%s: the client says %v, want mux.ErrProtocol and %q", test.value, err, test.says)
		}
		hostile.Close()
	}
}

// TestKeepAliveAgrees expects both ends to use the longer of the intervals that they have set.
func TestKeepAliveAgrees(t *testing.T) {
	leak.Check(t)
	const unset = 0
	for _, test := range []struct{ client, server, wantClient, wantServer time.Duration }{
		{unset, unset, 0, 0},
		{time.Minute, unset, time.Minute, time.Minute},
		{unset, time.Minute, time.Minute, time.Minute},
		{2 * time.Minute, time.Minute, 2 * time.Minute, 2 * time.Minute},
		{unset, time.Second, 0, time.Second},
		{time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second},
		{time.Hour, unset, time.Hour, 10 * time.Minute},
		{time.Hour, 20 * time.Minute, time.Hour, 20 * time.Minute},
		{-1, time.Minute, -1, time.Minute},
		{time.Minute, -1, time.Minute, -1},
	} {
		client, server := meets(t, transport.WithKeepAlive(test.client, 0), transport.WithKeepAlive(test.server, 0))
		if client.KeepAlive != test.wantClient || server.KeepAlive != test.wantServer {
			t.Errorf("%v and %v become %v and %v, want %v and %v", test.client, test.server,
				client.KeepAlive, server.KeepAlive, test.wantClient, test.wantServer)
		}
	}
}

// TestOlderPeers expects an end of a version without greetings to be served as before.
func TestOlderPeers(t *testing.T) {
	leak.Check(t)
	older := transport.WithMuxes(struct{ mux.Muxer }{qmux.New()})
	for _, ends := range [][2]transport.Option{{older, transport.Options()}, {transport.Options(), older}} {
		dialers := make(chan *transport.Dialer, 1)
		web := httptest.NewServer(serverFunc(t, func(d *transport.Dialer) { dialers <- d }, ends[0]))
		lis, err := transport.DialAndListenContext(within(t), web.URL, nil, ends[1])
		if err != nil {
			t.Fatal(err)
		}
		go serveEcho(lis)
		d := <-dialers
		echoes(t, d, 1000)
		if got := d.Info().Mux; got != "qmux" {
			t.Errorf("the session is of %s, want qmux", got)
		}
		lis.Close()
		web.Close()
	}
}
