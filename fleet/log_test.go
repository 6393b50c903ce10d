package fleet_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testlog"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A logged fleet has servers on real networks that log, as do its devices.
type logged struct {
	*fleet.Fleet
	muxes  transport.Option
	server testlog.Log
	begun  chan string // the ID of each session of the servers
	ends   chan string // and again, when it has ended
}

// lines returns those of a log.
func lines(t *testing.T, log *testlog.Log) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var attrs map[string]any
		if err := json.Unmarshal([]byte(line), &attrs); err != nil {
			t.Fatal(err)
		}
		all = append(all, attrs)
	}
	return all
}

func logTo(log *testlog.Log) transport.Option {
	return transport.WithLogger(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// serve starts another server.
func (f *logged) serve(t *testing.T, opts ...transport.ServerOption) (server *transport.Server, addr string) {
	t.Helper()
	server = transport.NewServer(f.Fleet, append(opts, f.muxes, logTo(&f.server), transport.WithTrace(transport.Trace{
		ClientConnected: func(i transport.Info) { f.begun <- i.Session },
		ClientGone:      func(i transport.Info, _ error) { f.ends <- i.Session },
	}))...)
	srv := httptest.NewServer(server)
	t.Cleanup(func() {
		server.Close()
		srv.Close()
	})
	return server, srv.Listener.Addr().String()
}

// A loggedDevice is a client with a connection in use.
type loggedDevice struct {
	*transport.Listener
	dialer *transport.Dialer
	conn   net.Conn
	log    testlog.Log
}

// listen connects a client.
func (f *logged) listen(t *testing.T, addr, id string, opts ...transport.ClientOption) *loggedDevice {
	t.Helper()
	d := new(loggedDevice)
	var err error
	if d.Listener, err = transport.DialAndListenContext(t.Context(), "ws://"+addr, http.Header{"Deviceid": {id}},
		append(opts, f.muxes, logTo(&d.log), transport.WithCloseGrace(-1))...); err != nil {
		t.Fatal("connect:", err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// connect connects a client, and dials it if it has an ID.
func (f *logged) connect(t *testing.T, addr, id string, opts ...transport.ClientOption) *loggedDevice {
	t.Helper()
	d := f.listen(t, addr, id, opts...)
	if fleet.CheckID(id) != nil {
		return d
	}
	var err error
	if d.dialer, err = f.Wait(t.Context(), id); err != nil {
		t.Fatal("wait:", err)
	}
	if d.conn, err = d.dialer.Dial(); err != nil {
		t.Fatal("dial:", err)
	}
	go answer(d, "x")
	nameOf(t, d.conn)
	return d
}

// TestLog ends sessions in every way, on each multiplexer. Each line of the log names the
// session and the client, and each end has its reason.
func TestLog(t *testing.T) {
	for _, m := range []mux.Muxer{qmux.New(), yamuxmux.New(), smuxmux.New()} {
		t.Run(m.Name(), func(t *testing.T) { testLog(t, m) })
	}
}

func testLog(t *testing.T, m mux.Muxer) {
	leak.Check(t)
	clients := fleet.New(fleet.ByHeader("DeviceId"))
	f := &logged{Fleet: clients, muxes: transport.WithMuxes(m), begun: make(chan string, 100), ends: make(chan string, 100)}
	authorize := transport.WithAuthorize(clients.Authorize)
	short := transport.WithKeepAlive(200*time.Millisecond, 200*time.Millisecond)
	stopping, usual := f.serve(t, authorize)
	_, hasty := f.serve(t, authorize, short)
	_, aging := f.serve(t, authorize, transport.WithMaxAge(500*time.Millisecond))
	_, open := f.serve(t)
	toLose, toFreeze := testnet.TCP(t, usual, 0), testnet.TCP(t, hasty, 0)
	reconnect := transport.WithReconnect(transport.Backoff{Min: time.Millisecond})
	for _, test := range []struct {
		id, addr       string
		end            func(d *loggedDevice)
		server, device transport.EndReason // "" if several may be true
		opts           []transport.ClientOption
	}{
		{"closes", usual, func(d *loggedDevice) { d.Close() }, transport.EndClosedByPeer, transport.EndClosed, nil},
		{"is-closed", usual, func(d *loggedDevice) { d.dialer.Close() }, transport.EndClosed, transport.EndClosedByPeer, nil},
		{"is-told", usual, func(d *loggedDevice) { d.dialer.CloseWithReason("enough") }, transport.EndClosed, transport.EndClosedByPeer, nil},
		{"is-kicked", usual, func(*loggedDevice) { f.Kick("is-kicked", "stolen") }, transport.EndKicked, transport.EndKicked, nil},
		{"is-replaced", usual, func(*loggedDevice) { f.listen(t, usual, "is-replaced") }, transport.EndReplaced, transport.EndReplaced, nil},
		{"..", open, func(*loggedDevice) {}, transport.EndRefused, transport.EndRefused, nil},
		{"is-late", open, func(d *loggedDevice) { d.Close() }, transport.EndClosedByPeer, transport.EndClosed, nil},
		{"leaves", usual, func(d *loggedDevice) { d.conn.Close(); d.Shutdown(t.Context()) }, transport.EndShutdown, transport.EndShutdown, nil},
		{"moves", usual, func(d *loggedDevice) { d.conn.Close(); d.dialer.Shutdown(t.Context()) }, transport.EndMoved, transport.EndMoved, []transport.ClientOption{reconnect}},
		{"is-old", aging, func(d *loggedDevice) { d.conn.Close() }, transport.EndTooOld, transport.EndTooOld, nil},
		{"is-lost", toLose.Addr(), func(*loggedDevice) { toLose.Cut(faultnet.Reset) }, transport.EndLost, transport.EndLost, nil},
		{"is-silent", toFreeze.Addr(), func(*loggedDevice) { toFreeze.Freeze() }, transport.EndSilent, transport.EndSilent, []transport.ClientOption{short}},
		{"cheats", usual, func(d *loggedDevice) {
			for d.dialer.Err() == nil {
				if c, err := d.Dial(); err == nil { // which it may not
					c.Read(make([]byte, 1))
					c.Close()
				}
			}
		}, transport.EndProtocol, "", nil},
		{"stays", usual, func(d *loggedDevice) { d.conn.Close(); stopping.Shutdown(t.Context()) }, transport.EndShutdown, transport.EndShutdown, nil},
	} {
		for len(f.begun) > 0 { // of the one before
			<-f.begun
		}
		f.server.Reset()
		d := f.connect(t, test.addr, test.id, test.opts...)
		session := d.Info().Session
		ofServer := await.From(t, "session of "+test.id, f.begun)
		test.end(d)
		for ended := ""; ended != ofServer; {
			ended = await.From(t, "end of "+test.id, f.ends)
		}
		if d.conn != nil { // both ends of the connection have an error
			io.Copy(io.Discard, d.conn)
			d.conn.Close()
		}
		gone := func(a map[string]any) bool { return a["msg"] == "backdial: client gone" && a["session"] == session }
		await.Until(t, "end of "+test.id+" on the device", func() bool { return slices.ContainsFunc(lines(t, &d.log), gone) })
		d.Close()
		checkLines(t, &d.log, session, test.device, func(string) any { return nil })
		checkLines(t, &f.server, ofServer, test.server, func(msg string) any {
			if fleet.CheckID(test.id) != nil || test.addr == open && msg == "client connected" {
				return nil // who it is, is not known yet, or never
			}
			return test.id
		})
	}
}

// checkLines looks at what was logged of a session until its end.
func checkLines(t *testing.T, log *testlog.Log, session string, want transport.EndReason, client func(msg string) any) {
	t.Helper()
	for _, no := range []string{"use of closed", "<nil>", `"err":null`, `"reason":""`} {
		if log.Has(no) {
			t.Errorf("the log has %q:\n%s", no, log)
		}
	}
	ended := false
	for _, a := range lines(t, log) {
		msg := strings.TrimPrefix(a["msg"].(string), "backdial: ")
		if !strings.HasPrefix(msg, "client ") && !strings.HasPrefix(msg, "stream ") {
			continue
		}
		of, _ := a["session"].(string)
		if len(of) != 12 || of == session && a["client"] != client(msg) {
			t.Errorf("a line of no session, or not of client %v: %v", client(msg), a)
		}
		if msg != "client gone" || of != session {
			continue
		}
		ended = true
		reason := transport.EndReason(fmt.Sprint(a["reason"]))
		if want != "" && reason != want || !slices.Contains(transport.EndReasons(), reason) {
			t.Errorf("reason %q, want %q: %v", reason, want, a)
		}
		// It is there if something went wrong, or if somebody has said something.
		tells := slices.Contains([]transport.EndReason{
			transport.EndLost, transport.EndSilent, transport.EndProtocol, transport.EndKicked, transport.EndReplaced, transport.EndRefused,
		}, reason)
		if said := strings.Contains(fmt.Sprint(a["err"]), "enough"); (a["err"] != nil) != (tells || said) {
			t.Errorf("want err: %v, in %v", tells || said, a)
		}
	}
	if !ended {
		t.Errorf("no end in\n%s", log)
	}
}
