// Package rhttp is HTTP in reverse: a server sends requests to one of its clients.
//
//	server := transport.NewServer(rhttp.ClientHandlerFunc(func(header http.Header, client *http.Client) {
//		answer, err := client.Get("http://device/status")
//		…
//	}))
//
// The client needs only [http.Serve]:
//
//	lis, err := transport.DialAndListen(url, header)
//	…
//	http.Serve(lis, handler)
//
// Every connection leads to the client, whatever the host of a URL; the client may use the
// host as it likes. With https:// a request uses TLS inside the connection, and HTTP/2 if the
// client has it ([http.ServeTLS]). The certificate has to be for that host, unless
// [http.Transport.TLSClientConfig] names another.
//
// Package fleet does the same for many clients, each known by its ID.
package rhttp

import (
	"net/http"

	"github.com/backdial/backdial/transport"
)

// A ClientHandlerFunc is a [transport.EndpointHandler]. It gets the header of a client's
// request, and an HTTP client that reaches the connected client. The HTTP client may be used
// as long as that stays connected, even after the function has returned.
//
// Its Transport is an [*http.Transport], as in wslis, and the function may set its
// fields, such as TLSClientConfig, before the first request:
//
//	client.Transport.(*http.Transport).TLSClientConfig = config
//
// Otherwise it does what the [Transport] of [NewTransport] does, with one exception: a request
// for an upgrade over https gets the errors of net/http.
type ClientHandlerFunc func(header http.Header, client *http.Client)

// HandleEndpoint calls f.
func (f ClientHandlerFunc) HandleEndpoint(d *transport.Dialer) {
	f(d.Header, &http.Client{Transport: newFront(d)})
}
