// Package ws carries bytes over WebSocket, RFC 6455. It passes wherever HTTP passes:
// through TLS terminators, reverse proxies and client-side proxies.
//
// Every Write becomes one binary message, in one frame. Read does not show where messages
// begin; NextMessage does. An orderly end is a close frame, status 1000, in each
// direction: after a CloseWrite the peer may still send, and answers with its own close
// frame only when it is done as well. A connection that ends without a close frame was
// cut, and its Read fails.
//
// This package does the handshake, and reads and writes the frames after it, unless
// [WithGorillaFraming] says otherwise. An idle connection
// holds less than 4 KiB. Pings are answered even while a Write waits for a peer that does
// not read; if several pongs wait, only the latest is sent. A peer that breaks the
// protocol or sends text gets the status that the RFC has for it, and reading ends with
// an error that says what was wrong. So does a peer that sends 10,000 frames without data,
// such as pings or empty messages, within ten seconds and nothing else.
package ws

import (
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/origin"
)

const defaultHandshakeTimeout = 10 * time.Second

var (
	_ carrier.Carrier = (*Carrier)(nil)
	_ carrier.Legacy  = (*Carrier)(nil)
)

// Carrier makes WebSocket connections. Use [New] to make one. Multiple goroutines may
// call its methods at the same time.
type Carrier struct {
	proxy            func(*http.Request) (*url.URL, error)
	checkOrigin      func(*http.Request) bool
	handshakeTimeout time.Duration // 0: the default; negative: none
	gorilla          bool          // see WithGorillaFraming

	// gorilla's connections hold a write buffer only during Write.
	buffers websocket.BufferPool
}

// New returns a Carrier with the defaults of the options, changed by opts.
func New(opts ...Option) *Carrier {
	c := &Carrier{
		proxy:       http.ProxyFromEnvironment,
		checkOrigin: origin.Same,
		buffers:     new(sync.Pool),
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Name is "ws".
func (*Carrier) Name() string { return "ws" }

// legacyProtocol is the token of package yamuxmux. A carrier knows no multiplexer, so it
// is repeated here; a test of package transport compares the two.
const legacyProtocol = "backdial.v1.yamux"

// LegacyProtocol is "backdial.v1.yamux", which peers from before the negotiation speak.
func (*Carrier) LegacyProtocol() string { return legacyProtocol }
