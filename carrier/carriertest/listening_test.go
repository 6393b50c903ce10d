package carriertest_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/ws"
)

// A listening carrier is sound with an HTTP server of its own on TCP.
type listening struct {
	carrier.Carrier
	change   func(*http.Server)              // of the server; may be nil
	listener func(net.Listener) net.Listener // for the server; may be nil
	keeps    bool                            // Close ends no handshakes
	stays    bool                            // Close does not let go of the port
}

func (l listening) Listen(addr string, config *tls.Config, h http.Handler) (carrier.Endpoint, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	if l.listener != nil {
		ln = l.listener(ln)
	}
	if l.change != nil {
		l.change(s)
	}
	return httpEndpoint{s, ln, l}, nil
}

// impatientOnTCP is the same with a short timeout.
var impatientOnTCP = listening{Carrier: impatient, change: func(s *http.Server) { s.ReadHeaderTimeout = time.Second }}

type httpEndpoint struct {
	server *http.Server
	ln     net.Listener
	listening
}

func (e httpEndpoint) Addr() net.Addr { return e.ln.Addr() }
func (e httpEndpoint) Serve() error   { return fmt.Errorf("%w: %w", net.ErrClosed, e.server.Serve(e.ln)) }

func (e httpEndpoint) Close() error {
	err := e.ln.Close()
	if !e.keeps {
		err = errors.Join(err, e.server.Close())
	}
	if e.stays {
		ln, _ := net.Listen("tcp", e.Addr().String())
		leaked = append(leaked, ln)
	}
	return err
}

// TestListening expects the suite to find nothing in the carrier in which faults are
// planted.
func TestListening(t *testing.T) {
	for name, secured := range map[string]bool{"TCP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			Test(t, Target{Carrier: listening{Carrier: ws.New()}, Impatient: impatientOnTCP, TLS: secured})
		})
	}
}
