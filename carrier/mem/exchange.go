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

// An exchange is one Dial and the handler that answers it. It ends in one of
// three ways, whichever is first: the handler upgrades the request, it answers
// otherwise, or the client gives up.
type exchange struct {
	protocols      []string
	server, client net.Addr
	request        *http.Request
	cancel         context.CancelFunc // of the request's context

	settled chan struct{} // closed by settle, once
	mu      sync.Mutex    // guards below until settled is closed
	conn    carrier.Conn
	err     error
}

func newExchange(protocols []string, server, client net.Addr) *exchange {
	return &exchange{
		protocols: protocols,
		server:    server,
		client:    client,
		settled:   make(chan struct{}),
	}
}

// settle sets what Dial returns. It reports false if that was set before.
func (x *exchange) settle(conn carrier.Conn, err error) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.settled:
		return false
	default:
	}
	x.conn, x.err = conn, err
	close(x.settled)
	return true
}

// giveUp ends the exchange for the client, unless it is settled.
func (x *exchange) giveUp(err error) {
	if x.settle(nil, err) {
		x.cancel()
	}
}

// serve lets h answer. What h wrote is the client's error, unless h upgraded
// the request.
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
		x.settle(nil, w.rejection())
	}()
	h.ServeHTTP(w, x.request)
}
