package transporttest

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/backdial/backdial/transport"
)

// newServer returns a server of the stack, which sends its sessions to dialers. opts override
// the options of the stack. The server is closed when t is done.
func (s Stack) newServer(t *testing.T, dialers chan<- *transport.Dialer, opts ...transport.ServerOption) *transport.Server {
	all := []transport.ServerOption{transport.WithCarriers(s.Carrier), transport.WithMuxes(s.Muxer)}
	for _, o := range s.Options {
		all = append(all, o)
	}
	srv := transport.NewServer(
		transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), append(all, opts...)...)
	t.Cleanup(func() { srv.Close() })
	return srv
}

// listen connects a client of the stack. opts override the options of the stack.
func (s Stack) listen(ctx context.Context, url string, header http.Header, config *tls.Config, opts ...transport.ClientOption) (*transport.Listener, error) {
	all := []transport.ClientOption{
		transport.WithCarriers(s.Carrier), transport.WithMuxes(s.Muxer), transport.WithTLSConfig(config),
		transport.WithCloseGrace(-1), // for tests that leave connections open
	}
	for _, o := range s.Options {
		all = append(all, o)
	}
	return transport.DialAndListenContext(ctx, url, header, append(all, opts...)...)
}
