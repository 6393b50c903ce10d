package bench

import (
	"net"
	"testing"

	"github.com/backdial/backdial/bench/harness"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// BenchmarkDevice builds and runs programs that a device would run.
func BenchmarkDevice(b *testing.B) {
	harness.Devices(b, []harness.Device{
		{Name: "carrier=tcp/mux=none", Package: "./device/tcp", Listen: listenBare},
		{Name: "carrier=gorilla/mux=yamux", Package: "./device/bare", Listen: wslis.Listen},
		{Name: "carrier=ws/mux=qmux", Package: "./device/qmux", Listen: combine("ws", ws.New(), qmux.New(), false).Listen},
		{Name: "carrier=ws/mux=yamux", Package: "./device/yamux", Tags: "backdialomitqmux", Listen: combine("ws", ws.New(), yamuxmux.New(), false).Listen},
		{Name: "carrier=webtransport/mux=native", Package: "./device/webtransport",
			Listen: combine("webtransport", webtransport.New(), nativemux.New(), true).Listen},
	})
}

// listenBare uses one connection for a session, and for its only stream.
func listenBare(t harness.TB) (addr string, accept func() (*harness.Server, error)) {
	ln := harness.Listen(t)
	return t.Reach("tcp", ln.Addr().String()), func() (*harness.Server, error) {
		conn, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		return &harness.Server{
			Dial:  func() (net.Conn, error) { return conn, nil },
			Close: func() { conn.Close() },
		}, nil
	}
}
