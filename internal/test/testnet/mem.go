package testnet

import (
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
)

// MemPair returns the two ends of a connection in memory. It buffers 64 KiB each way, and
// its writes fail as soon as the peer closes. It works in synctest bubbles.
func MemPair(t testing.TB) (dialled, accepted net.Conn) {
	t.Helper()
	network := mem.New()
	conns := make(chan net.Conn, 1)
	e, err := network.Listen("server", nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := network.Upgrade(w, r, "")
		if err != nil {
			t.Error(err)
		}
		conns <- c
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	go e.Serve()
	dialled, err = network.Dial(t.Context(), &carrier.Request{URL: &url.URL{Scheme: "mem", Host: "server"}})
	if err != nil {
		t.Fatal(err)
	}
	return dialled, <-conns
}
