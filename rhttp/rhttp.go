// Package rhttp is HTTP in reverse: a server's requests to one of its clients.
//
//	server := transport.NewServer(rhttp.ClientHandlerFunc(func(header http.Header, client *http.Client) {
//		answer, err := client.Get("http://device/status")
//		…
//	}))
//
// On the client nothing is needed but [http.Serve]:
//
//	lis, err := transport.DialAndListen(url, header)
//	…
//	http.Serve(lis, handler)
//
// The host of a URL is for the client to make sense of: every connection leads to it.
// With https:// it speaks TLS inside of the connection, and HTTP/2 if it can
// ([http.ServeTLS]); the certificate has to be one for that host, which
// [http.Transport.TLSClientConfig] can name otherwise.
//
// Package fleet does the same for many clients, each known by its ID.
package rhttp

import (
	"net/http"

	"github.com/backdial/backdial/transport"
)

// A ClientHandlerFunc is a [transport.EndpointHandler] that gets an HTTP client with
// which to reach the client that has connected, and the header of its request. The
// HTTP client may be used for as long as that stays connected, also when the function
// has returned.
type ClientHandlerFunc func(header http.Header, client *http.Client)

// HandleEndpoint calls f.
func (f ClientHandlerFunc) HandleEndpoint(d *transport.Dialer) {
	f(d.Header, &http.Client{Transport: NewTransport(d)})
}
