package ws_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
)

// TestAnswersAgainstGorilla has servers answer in many ways, good and bad: both handshakes must
// take the same answers, and find the same protocol in them.
func TestAnswersAgainstGorilla(t *testing.T) {
	const good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n"
	for _, answer := range []string{
		good,
		good + "Sec-WebSocket-Protocol: one\r\n",
		good + "Sec-WebSocket-Protocol: one, two\r\n",
		good + "Sec-WebSocket-Protocol: two\r\nSec-WebSocket-Protocol: one\r\n",
		good + "Set-Cookie: a\r\nX-Folded: b\r\n c\r\n",
		good + "Content-Length: 5\r\n",
		good + "Transfer-Encoding: chunked\r\n",
		good + "No colon\r\n",
		strings.Replace(strings.ToLower(good), "http", "HTTP", 1),
		strings.Replace(good, "websocket", "WebSocket", 1),
		strings.Replace(good, "websocket", "other, websocket", 1),
		strings.Replace(good, "websocket", "websocket2", 1),
		strings.Replace(good, "websocket", "websoc\u212aet", 1),
		strings.Replace(good, "Upgrade: websocket\r\n", "", 1),
		strings.Replace(good, "Upgrade: websocket\r\n", "Upgrade: other\r\nUpgrade: websocket\r\n", 1),
		strings.Replace(good, "Connection: Upgrade", "Connection: keep-alive, upgrade", 1),
		strings.Replace(good, "Connection: Upgrade", "Connection: close", 1),
		strings.Replace(good, "KEY", "no", 1),
		strings.Replace(good, "Sec-WebSocket-Accept: KEY\r\n", "", 1),
		strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1),
		strings.Replace(good, "HTTP/1.1", "HTTP/2.0", 1),
		strings.Replace(good, "101", "200", 1),
		strings.Replace(good, "101", "100", 1),
		strings.Replace(good, "101", "1O1", 1),
		strings.Replace(good, " Switching Protocols", "", 1),
		strings.ReplaceAll(good, "\r\n", "\n"),
		"\r\n" + good,
	} {
		t.Run("", func(t *testing.T) {
			leak.Check(t)
			addr := serveRaw(t, func(conn net.Conn) {
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				key := answerToKey(r.Header.Get("Sec-WebSocket-Key"), "")
				_, key, _ = strings.Cut(key, "Sec-WebSocket-Accept: ")
				key, _, _ = strings.Cut(key, "\r\n")
				io.WriteString(conn, strings.NewReplacer("KEY", key, " key\r", " "+key+"\r").Replace(answer)+"\r\n")
			})
			took := make(map[string]string)
			for _, f := range framings {
				conn, err := ws.New(append(f.options, ws.WithProxy(nil))...).Dial(t.Context(), &carrier.Request{
					URL: &url.URL{Scheme: "ws", Host: addr}, Protocols: []string{"one", "two"},
				})
				if err != nil {
					took[f.name] = "refused: " + err.Error()
					continue
				}
				took[f.name] = "taken, protocol " + conn.Protocol()
				conn.Close()
			}
			if took["Own"] != took["Gorilla"] {
				t.Errorf("%q is %s, but %s by gorilla", answer, took["Own"], took["Gorilla"])
			}
		})
	}
}
