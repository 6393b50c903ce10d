package ws

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/belowtls"
	"github.com/backdial/backdial/redact"
)

// Offer reports whether r asks for a WebSocket, and returns the subprotocols that it
// offers. A request of HTTP/1.0 does not, whatever its Upgrade header says (RFC 9110, section
// 7.8).
func (*Carrier) Offer(r *http.Request) (protocols []string, ok bool) {
	if !websocket.IsWebSocketUpgrade(r) || !r.ProtoAtLeast(1, 1) {
		return nil, false
	}
	return websocket.Subprotocols(r), true
}

// Upgrade turns an HTTP/1.1 request into a WebSocket. protocol is one that the client
// offered, or "". The answer includes the fields of w.Header(), except those that belong
// to the handshake or the connection. Upgrade answers with status 403 if the origin is
// not allowed (see [WithCheckOrigin]), 400 or 405 if the request is malformed, and 500 if
// w or protocol is invalid.
func (c *Carrier) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	header := sendable(w.Header())
	w.Header().Set("Connection", "close") // unless it succeeds: the client has no other use for it
	if !carrier.OriginAllowed(r) && !c.checkOrigin(r) {
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		return nil, fmt.Errorf("ws: upgrade: %w: %s", carrier.ErrOrigin, redact.Quote(r.Header.Get("Origin")))
	}
	if protocol != "" && !slices.Contains(websocket.Subprotocols(r), protocol) {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return nil, fmt.Errorf("ws: upgrade: protocol %s was not offered", redact.Quote(protocol))
	}
	if c.gorilla || !isOpening(r) { // gorilla's answer to the latter says what is wrong
		ws, err := c.upgradeGorilla(w, r, protocol, header)
		if err != nil {
			return nil, fmt.Errorf("ws: upgrade: %w", redact.Error(err))
		}
		return newGorillaConn(ws, withoutTLS(ws.NetConn())), nil
	}
	inner, err := c.accept(w, r, protocol, header)
	if err != nil {
		return nil, fmt.Errorf("ws: upgrade: %w", redact.Error(err))
	}
	raw := withoutTLS(inner)
	if secured, ok := inner.(*tls.Conn); ok {
		if t, ok := belowtls.Of(secured); ok {
			inner = t
		}
	}
	// The handshake fails if the client has sent more, so nothing was read ahead.
	return prompted(newConn(inner, raw, protocol, false, nil)), nil
}

// sendable returns the fields that may be sent with the answer to a handshake: none that
// concerns WebSocket, the connection, or a body.
func sendable(h http.Header) http.Header {
	if len(h) == 0 {
		return nil
	}
	sent := make(http.Header, len(h))
	for name, values := range h {
		canonical := http.CanonicalHeaderKey(name)
		switch canonical {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
			"Content-Encoding", "Content-Length", "Content-Type":
			continue
		}
		token := strings.IndexFunc(name, notInName) < 0 // gorilla would send anything
		if name != "" && token && !strings.HasPrefix(canonical, "Sec-Websocket-") {
			sent[canonical] = append(sent[canonical], values...)
		}
	}
	for _, named := range h["Connection"] {
		for name := range strings.SplitSeq(named, ",") {
			sent.Del(strings.TrimSpace(name))
		}
	}
	return sent
}

// notInName reports whether r must not be in the name of a header.
func notInName(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// hijacker finds the Hijack method of a ResponseWriter inside middleware's wrappers.
type hijacker struct{ http.ResponseWriter }

// Hijack implements [http.Hijacker].
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		err = fmt.Errorf("cannot take over the connection: %w", err)
	}
	return conn, rw, err
}

// withoutTLS returns the connection below TLS. Closing that one takes no time, whereas
// TLS may wait seconds to say goodbye.
func withoutTLS(conn net.Conn) net.Conn {
	if secured, ok := conn.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return conn
}

// BelowTLS returns ln, for a server with TLS on it that serves this carrier:
//
//	server.Serve(tls.NewListener(ws.BelowTLS(ln), config))
//
// By itself, crypto/tls reads and writes each record with a system call of its own. On ln
// several share one, and connections are [carrier.PromptWriter]s and
// [carrier.PromptReader]s. ListenAndServeTLS of package transport uses it; so can an
// [http.Server] with its ServeTLS. With any other listener a server's connections work as
// well, but slower. A client's need nothing.
func BelowTLS(ln net.Listener) net.Listener { return belowtls.NewListener(ln) }
