package ws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
)

// The opening handshake of RFC 6455, section 4.

// acceptGUID makes the answer to a key.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// acceptFor returns the Sec-WebSocket-Accept for a key.
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// open connects to target and opens a WebSocket. Its error matches
// [websocket.ErrBadHandshake] if the server has answered otherwise.
func (h *handshake) open(ctx context.Context, target *url.URL, r *carrier.Request) (answer *http.Response, err error) {
	request, key, err := openingFor(target, r)
	if err != nil {
		return nil, err
	}
	connect := h.connect
	if target.Scheme == "wss" {
		connect = h.connectTLS
	}
	addr, trace := addrOf(target), httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(addr)
	}
	conn, err := connect(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: conn})
	}
	answer, err = exchange(conn, request)
	if err == nil && !accepted(answer, key) {
		err = websocket.ErrBadHandshake
	}
	if err != nil {
		h.conn.Close()
	}
	return answer, err
}

// openingFor returns the request that opens a WebSocket, and its key.
func openingFor(target *url.URL, r *carrier.Request) (request *http.Request, key string, err error) {
	var random [16]byte
	rand.Read(random[:]) // never fails
	key = base64.StdEncoding.EncodeToString(random[:])
	// Some servers depend on the capitalization of the RFC's examples.
	header := http.Header{
		"Upgrade":               {"websocket"},
		"Connection":            {"Upgrade"},
		"Sec-WebSocket-Key":     {key},
		"Sec-WebSocket-Version": {"13"},
	}
	if len(r.Protocols) > 0 {
		header["Sec-WebSocket-Protocol"] = []string{strings.Join(r.Protocols, ", ")}
	}
	host := target.Host
	for name, values := range requestHeader(r) {
		switch name {
		case "Host":
			if len(values) > 0 {
				host = values[0]
			}
		case "Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions":
			return nil, "", fmt.Errorf("header %s belongs to the handshake", name)
		case "Sec-Websocket-Protocol":
			if len(r.Protocols) > 0 {
				return nil, "", fmt.Errorf("header %s belongs to the handshake", name)
			}
			header["Sec-WebSocket-Protocol"] = values
		default:
			header[name] = values
		}
	}
	return &http.Request{Method: http.MethodGet, URL: target, Host: host, Header: header}, key, nil
}

// exchange sends request, and returns the answer, with at most 1 KiB of its body. What follows
// the answer's header is still in conn.
func exchange(conn net.Conn, request *http.Request) (*http.Response, error) {
	b := exchanges.Get().(*exchanging)
	defer func() {
		b.out.Reset()
		b.in.Reset(nil)
		exchanges.Put(b)
	}()
	if err := request.Write(&b.out); err != nil {
		return nil, err
	}
	if _, err := conn.Write(b.out.Bytes()); err != nil {
		return nil, err
	}
	b.in.Reset(conn)
	answer, err := http.ReadResponse(b.in, request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		answer.Body = io.NopCloser(bytes.NewReader(body))
	}
	return answer, nil
}

// exchanging is memory for a request and its answer.
type exchanging struct {
	out bytes.Buffer
	in  *bufio.Reader
}

var exchanges = sync.Pool{New: func() any { return &exchanging{in: bufio.NewReader(nil)} }}

// accepted reports whether answer opens the WebSocket that a request with that key asked for.
func accepted(answer *http.Response, key string) bool {
	h := answer.Header
	return answer.StatusCode == http.StatusSwitchingProtocols &&
		hasToken(h["Upgrade"], "websocket") &&
		hasToken(h["Connection"], "upgrade") &&
		h.Get("Sec-Websocket-Accept") == acceptFor(key)
}
