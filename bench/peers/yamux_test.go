package peers

import (
	"context"
	"io"
	"math"
	"net"

	"github.com/libp2p/go-yamux/v5"

	"github.com/backdial/backdial/bench/harness"
)

// libp2pYamux is libp2p's yamux without a limit of streams, as in go-libp2p.
func libp2pYamux(server, client net.Conn) (*harness.Session, error) {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	config.MaxIncomingStreams = math.MaxUint32
	dial, err := yamux.Client(server, config, nil)
	if err != nil {
		return nil, err
	}
	listen, err := yamux.Server(client, config, nil)
	if err != nil {
		return nil, err
	}
	return &harness.Session{
		Dial:   func() (net.Conn, error) { return dial.Open(context.Background()) },
		Accept: listen.Accept,
		Close:  func() { dial.Close(); listen.Close() },
	}, nil
}
