package bench

import (
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/bench/harness"
)

// BenchmarkUpgrade makes WebSockets without sessions. What a session costs beyond that is
// the cost of the multiplexer and the transport.
func BenchmarkUpgrade(b *testing.B) {
	harness.SessionSetup(b, []harness.Subject{
		{Name: "carrier=gorilla/mux=none", Serve: overGorilla},
		{Name: "carrier=ws/mux=none", Serve: overWebSocket(bare)},
	})
}

// bare is a session with no streams.
func bare(server, client net.Conn) (*harness.Session, error) {
	return &harness.Session{Close: func() { server.Close(); client.Close() }}, nil
}

// overGorilla has connections of gorilla/websocket as wslis configures them.
func overGorilla(t harness.TB) func() (*harness.Session, error) {
	arrived := make(chan *websocket.Conn, 1) // of the client that connects
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	addr := harness.ServeHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		arrived <- conn
	}), false)
	return func() (*harness.Session, error) {
		conn, _, err := new(websocket.Dialer).Dial("ws://"+addr, nil)
		if err != nil {
			return nil, err
		}
		return bare((<-arrived).NetConn(), conn.NetConn())
	}
}
