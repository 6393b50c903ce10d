package peers

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rancher/remotedialer"
	"github.com/sirupsen/logrus"

	"github.com/backdial/backdial/bench/harness"
)

// serveRemotedialer is remotedialer as Rancher uses it. Its clients accept nothing: they
// dial what the server asks for, here a listener on their own machine, so a stream is
// also a TCP connection.
func serveRemotedialer(t harness.TB) func() (*harness.Session, error) {
	logrus.SetOutput(io.Discard)
	const name = "Device"
	var clients atomic.Int64
	server := remotedialer.New(func(r *http.Request) (string, bool, error) {
		return r.Header.Get(name), true, nil
	}, remotedialer.DefaultErrorWriter)
	url := "ws://" + harness.ServeHTTP(t, server, false)
	return func() (*harness.Session, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		device := strconv.FormatInt(clients.Add(1), 10)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			anything := func(proto, address string) bool { return true }
			ended <- remotedialer.ClientConnect(ctx, url, http.Header{name: {device}}, nil, anything, nil)
		}()
		for !server.HasSession(device) { // the library does not say when it does
			select {
			case err := <-ended:
				cancel()
				ln.Close()
				return nil, err
			case <-time.After(20 * time.Microsecond):
			}
		}
		dial, addr := server.Dialer(device), ln.Addr().String()
		return &harness.Session{
			Dial:   func() (net.Conn, error) { return dial(ctx, "tcp", addr) },
			Accept: ln.Accept,
			Close: func() {
				ln.Close()
				cancel()
			},
		}, nil
	}
}
