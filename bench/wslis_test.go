package bench

import (
	"io"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/bench/harness"
)

// wslis is gorilla/websocket and yamux with its defaults, as wslis 0.0.2 uses them.
var wslis = harness.Apart{
	Name: "carrier=wslis/mux=yamux",
	Listen: func(t harness.TB) (string, func() (*harness.Server, error)) {
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
		return "ws://" + addr, func() (*harness.Server, error) {
			return yamuxServer(&messages{Conn: <-arrived})
		}
	},
	Connect: func(addr string) (*harness.Client, error) {
		conn, _, err := new(websocket.Dialer).Dial(addr, nil)
		if err != nil {
			return nil, err
		}
		return yamuxClient(&messages{Conn: conn})
	},
}

// messages are the bytes of a WebSocket, with a message for each Write.
type messages struct {
	*websocket.Conn
	r io.Reader
}

func (m *messages) Read(p []byte) (int, error) {
	for {
		if m.r == nil {
			_, r, err := m.NextReader()
			if err != nil {
				return 0, err
			}
			m.r = r
		}
		n, err := m.r.Read(p)
		if err == io.EOF {
			m.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (m *messages) Write(p []byte) (int, error) {
	return len(p), m.WriteMessage(websocket.BinaryMessage, p)
}
