package peers

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	piko "github.com/andydunstall/piko/client"
	"github.com/andydunstall/piko/pkg/log"
	"github.com/andydunstall/piko/server/cluster"
	"github.com/andydunstall/piko/server/config"
	"github.com/andydunstall/piko/server/proxy"
	"github.com/andydunstall/piko/server/upstream"

	"github.com/backdial/backdial/bench/harness"
)

// servePiko is Piko with its client library at both ends, and one node, in the same
// process. The program that dials is a client of the node too: a stream is a WebSocket to
// the node, which relays it to the stream of a yamux on the device's WebSocket.
func servePiko(t harness.TB) func() (*harness.Session, error) {
	logger, settings := log.NewNopLogger(), config.Default()
	state := cluster.NewState(&cluster.Node{ID: "node"}, logger)
	devices := upstream.NewLoadBalancedManager(state)
	front := proxy.NewServer(devices, settings.Proxy, nil, nil, nil, logger)
	back := upstream.NewServer(devices, nil, nil, state, settings.Upstream, logger)
	frontLn, backLn := harness.Listen(t), harness.Listen(t)
	go front.Serve(frontLn)
	go back.Serve(backLn)
	t.Cleanup(func() {
		front.Shutdown(context.Background())
		back.Shutdown(context.Background())
	})
	dialer := &piko.Dialer{URL: &url.URL{Scheme: "http", Host: frontLn.Addr().String()}}
	device := &piko.Upstream{URL: &url.URL{Scheme: "http", Host: t.Reach("tcp", backLn.Addr().String())}}
	var clients atomic.Int64
	return func() (*harness.Session, error) {
		id := strconv.FormatInt(clients.Add(1), 10)
		ln, err := device.Listen(context.Background(), id)
		if err != nil {
			return nil, err
		}
		// The server does not say when it knows the device.
		const patience = 10 * time.Second
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Microsecond) {
			if _, known := devices.Select(id, false); known {
				break
			}
			if time.Now().After(deadline) {
				ln.Close()
				return nil, fmt.Errorf("the server does not know %s after %v", id, patience)
			}
		}
		return &harness.Session{
			Dial:   func() (net.Conn, error) { return dialer.Dial(context.Background(), id) },
			Accept: ln.Accept,
			Close:  func() { ln.Close() },
		}, nil
	}
}
