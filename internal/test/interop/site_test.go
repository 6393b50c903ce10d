//go:build unix

package interop

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/transport"
)

// A site is where clients come from and connect to. At /session is a session of package
// qmux, at /silent one that asks for no sign of life, and at /dialer a server of package
// transport.
type site struct {
	*httptest.Server
	routes   *http.ServeMux
	sessions chan mux.Session
	dialers  chan *transport.Dialer
	reports  chan report
}

// A report is what a client sees.
type report struct {
	Event   string // which of testdata/client.js
	Text    string
	Code    int
	Codes   []int // -1 for none
	Answers []string
}

// newSite starts a site, which ends when t is done.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		routes:   http.NewServeMux(),
		sessions: make(chan mux.Session, 16),
		dialers:  make(chan *transport.Dialer, 16),
		reports:  make(chan report, 64),
	}
	server := transport.NewServer(
		transport.EndpointHandlerFunc(func(d *transport.Dialer) { s.dialers <- d }),
		transport.WithMuxes(qmux.New()), transport.WithAcceptFromClient(answer))
	s.routes.Handle("/", http.FileServer(http.Dir("testdata")))
	s.routes.Handle("/dialer", server)
	s.routes.HandleFunc("/session", func(w http.ResponseWriter, r *http.Request) { s.connect(t, w, r, mux.Config{}) })
	s.routes.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) { s.connect(t, w, r, mux.Config{KeepAlive: -1}) })
	s.routes.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var got report
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error("report:", err)
			return
		}
		s.reports <- got
	})
	s.Server = httptest.NewServer(s.routes)
	t.Cleanup(func() {
		server.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// answer is what the site does with connections that its clients open.
func answer(_ *transport.Dialer, conn net.Conn) {
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err != nil {
		conn.(transport.Conn).Reset()
		return
	}
	io.WriteString(conn, "heard "+string(got))
}

// connect makes a session, which ends when t is done.
func (s *site) connect(t *testing.T, w http.ResponseWriter, r *http.Request, config mux.Config) {
	m := qmux.New()
	// A test may have something between the page's origin and the server.
	conn, err := ws.New(ws.WithCheckOrigin(func(*http.Request) bool { return true })).Upgrade(w, r, m.Protocol())
	if err != nil {
		t.Error("upgrade:", err)
		return
	}
	session, err := m.DialSide(conn, config)
	if err != nil {
		t.Error("dial side:", err)
		return
	}
	s.sessions <- session
}

// at returns the URL of a path, for a client that finds the site at addr.
func (s *site) at(addr, path string) settings {
	return settings{URL: "ws://" + addr + path, Report: s.URL + "/report"}
}

// join starts a client that connects to /dialer, and returns its Dialer.
func (s *site) join(t *testing.T, k kind, config map[string]string) *transport.Dialer {
	t.Helper()
	what := s.at(s.addr(), "/dialer")
	what.Config = config
	k.start(t, s, what)
	s.hears(t, "ready", "backdial.1")
	return await.From(t, "the client", s.dialers)
}

// meet is join with /session.
func (s *site) meet(t *testing.T, k kind) (session mux.Session, kill func()) {
	t.Helper()
	kill = k.start(t, s, s.at(s.addr(), "/session"))
	s.hears(t, "ready", "backdial.1")
	return s.session(t), kill
}

// session returns the next session. It is closed when t is done.
func (s *site) session(t *testing.T) mux.Session {
	t.Helper()
	session := await.From(t, "the client", s.sessions)
	t.Cleanup(func() { session.Close() })
	return session
}

func (s *site) addr() string { return s.Listener.Addr().String() }

// hears expects the next report to be of an event, with a text that begins so.
func (s *site) hears(t *testing.T, event, text string) report {
	t.Helper()
	r := await.From(t, "a report of "+event, s.reports)
	if r.Event != event || !strings.HasPrefix(r.Text, text) {
		t.Fatalf("the client reports %+v, want %s %q", r, event, text)
	}
	return r
}

// open opens a stream on which the client does what command says. It is closed when t is
// done.
func open(t *testing.T, session mux.Session, command string) mux.CodeResetter {
	t.Helper()
	st, err := session.Open(t.Context())
	if err != nil {
		t.Fatal("open:", err)
	}
	t.Cleanup(func() { st.Close() })
	st.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(st, command+"\n"); err != nil {
		t.Fatal("write:", err)
	}
	return st.(mux.CodeResetter)
}
