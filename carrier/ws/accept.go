package ws

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"time"
)

// isOpening reports whether r opens a WebSocket.
func isOpening(r *http.Request) bool {
	return r.Method == http.MethodGet &&
		hasToken(r.Header["Connection"], "upgrade") &&
		hasToken(r.Header["Upgrade"], "websocket") &&
		hasToken(r.Header["Sec-Websocket-Version"], "13") &&
		isKey(r.Header.Get("Sec-Websocket-Key"))
}

// isKey reports whether key is the base64 of 16 bytes.
func isKey(key string) bool {
	var decoded [18]byte
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(decoded[:], []byte(key))
	return n == 16 && err == nil
}

// answerTimeout bounds how long the client may take to take the answer. 0 means no bound.
func (c *Carrier) answerTimeout() time.Duration {
	return max(cmp.Or(c.handshakeTimeout, defaultHandshakeTimeout), 0)
}

// accept answers r, which opens a WebSocket, with header, and returns the connection.
func (c *Carrier) accept(w http.ResponseWriter, r *http.Request, protocol string, header http.Header) (net.Conn, error) {
	conn, rw, err := hijacker{w}.Hijack()
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return nil, err
	}
	if rw.Reader.Buffered() > 0 {
		conn.Close()
		return nil, errors.New("client sent data before the handshake was complete")
	}
	answer := appendAnswer(rw.Writer.AvailableBuffer(), r.Header.Get("Sec-Websocket-Key"), protocol, header)
	// The HTTP server may have set both deadlines.
	err = conn.SetDeadline(time.Time{})
	if timeout := c.answerTimeout(); err == nil && timeout > 0 {
		err = conn.SetWriteDeadline(time.Now().Add(timeout))
	}
	if err == nil {
		_, err = conn.Write(answer)
	}
	if err == nil {
		err = conn.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// appendAnswer appends the answer to the request with that key.
func appendAnswer(b []byte, key, protocol string, header http.Header) []byte {
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	b = appendField(b, "Sec-WebSocket-Accept", acceptFor(key))
	if protocol != "" {
		b = appendField(b, "Sec-WebSocket-Protocol", protocol)
	}
	for name, values := range header {
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	return append(b, "\r\n"...)
}

// appendField appends a field of a header. A value cannot begin another one.
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' { // a tab may be in a protocol that the client has offered
			c = ' '
		}
		b = append(b, c)
	}
	return append(b, "\r\n"...)
}
