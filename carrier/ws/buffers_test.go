package ws

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/leak"
)

// A countingPool counts the buffers in use.
type countingPool struct {
	sync.Pool
	used, gets atomic.Int64
}

func (p *countingPool) Get() any {
	p.used.Add(1)
	p.gets.Add(1)
	return p.Pool.Get()
}

func (p *countingPool) Put(buffer any) {
	p.used.Add(-1)
	p.Pool.Put(buffer)
}

// TestIdleConnectionsHoldNoBuffer checks connections with gorilla's framing.
func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	leak.Check(t)
	pool := new(countingPool)
	c := New(WithGorillaFraming())
	c.buffers = pool
	echoing := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(echoing)
		conn, err := c.Upgrade(w, r, "")
		if err != nil {
			t.Errorf("Upgrade: %v", err)
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(context.Background(), &carrier.Request{URL: u})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n := pool.gets.Load(); n != 0 {
		t.Errorf("%d buffers taken by connections that were not used", n)
	}
	for _, size := range []int{1, 1 << 10, 1 << 20} {
		written := make(chan error, 1)
		go func() { _, err := conn.Write(make([]byte, size)); written <- err }()
		if _, err := io.CopyN(io.Discard, conn, int64(size)); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	}
	conn.(carrier.CloseWriter).CloseWrite()
	<-echoing
	if n := pool.used.Load(); n != 0 {
		t.Errorf("%d buffers held by idle connections", n)
	}
	if pool.gets.Load() == 0 {
		t.Error("the pool is not used")
	}
}
