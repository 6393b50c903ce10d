package mem

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/redact"
)

// An exchange is one Dial and the handler that answers it. The first of three events
// decides it: the handler upgrades the request, the handler answers otherwise, or the
// client gives up.
type exchange struct {
	protocols      []string
	server, client net.Addr
	request        *http.Request
	cancel         context.CancelFunc // of the request's context

	decided chan struct{} // closed by decide, once
	mu      sync.Mutex    // guards below until decided is closed
	conn    carrier.Conn
	answer  http.Header // of the answer that makes conn
	err     error
}

func newExchange(protocols []string, server, client net.Addr) *exchange {
	return &exchange{
		protocols: protocols,
		server:    server,
		client:    client,
		decided:   make(chan struct{}),
	}
}

// decide decides the exchange: it sets what Dial returns. It returns false if that is
// already set. answer is the header of the answer that makes conn.
func (x *exchange) decide(conn carrier.Conn, answer http.Header, err error) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.decided:
		return false
	default:
	}
	x.conn, x.answer, x.err = conn, answer, err
	close(x.decided)
	return true
}

// giveUp decides the exchange for the client, unless it is decided.
func (x *exchange) giveUp(err error) {
	if x.decide(nil, nil, err) {
		x.cancel()
	}
}

// serve runs h. Its answer becomes the client's error, unless h upgrades the request.
func (x *exchange) serve(h http.Handler) {
	w := &response{exchange: x, header: make(http.Header)}
	defer x.cancel()
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler { // as net/http does
				log.Printf("mem: panic serving %v: %s\n%s", x.client, redact.Text(fmt.Sprint(v)), debug.Stack())
			}
			w = &response{status: http.StatusInternalServerError}
		}
		x.decide(nil, nil, w.rejection())
	}()
	h.ServeHTTP(w, x.request)
}
