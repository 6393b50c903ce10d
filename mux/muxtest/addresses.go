package muxtest

import (
	"net"
	"testing"

	"github.com/backdial/backdial/mux"
)

// addresses compares the addresses of streams with those of the session's link, if it has
// any.
func addresses(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	dialled, accepted := p.open(t)
	for name, end := range map[string]struct {
		stream mux.Stream
		link   Link
	}{"dial side": {dialled, p.DialLink}, "listen side": {accepted, p.ListenLink}} {
		t.Run(name, func(t *testing.T) {
			local, remote := end.stream.LocalAddr(), end.stream.RemoteAddr()
			if local == nil || remote == nil {
				t.Fatalf("a stream from %v to %v, which are not addresses", local, remote)
			}
			conn, ok := end.link.(interface {
				LocalAddr() net.Addr
				RemoteAddr() net.Addr
			})
			if !ok {
				t.Log("the link has no addresses to compare with")
				return
			}
			if l, r := conn.LocalAddr(), conn.RemoteAddr(); local.String() != l.String() || remote.String() != r.String() {
				t.Errorf("a stream from %v to %v, of a connection from %v to %v", local, remote, l, r)
			}
		})
	}
}
