package metrics_test

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/metrics"
	"github.com/backdial/backdial/transport"
)

// BenchmarkStreamMoved measures what metrics add to each Read and Write of a stream.
func BenchmarkStreamMoved(b *testing.B) {
	trace := metrics.New().Trace()
	info := transport.Info{Carrier: "ws", Mux: "yamux"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			trace.StreamMoved(info, 1000, 0)
		}
	})
}

// BenchmarkStream sends through a stream, with and without metrics on both ends.
func BenchmarkStream(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KiB", 1 << 10}, {"32KiB", 32 << 10}} {
		b.Run(size.name+"/plain", func(b *testing.B) { benchmarkStream(b, size.bytes, transport.Trace{}, transport.Trace{}) })
		b.Run(size.name+"/metrics", func(b *testing.B) {
			benchmarkStream(b, size.bytes, metrics.New().Trace(), metrics.NewClient().Trace())
		})
	}
}

func benchmarkStream(b *testing.B, size int, server, client transport.Trace) {
	backdialtest.CheckLeaks(b)
	dialers := make(chan *transport.Dialer, 1)
	s := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) { dialers <- d }), transport.WithTrace(server))
	defer s.Close()
	srv := httptest.NewServer(s)
	defer srv.Close()
	lis, err := transport.DialAndListen(srv.URL, nil, transport.WithTrace(client))
	if err != nil {
		b.Fatal(err)
	}
	defer lis.Close()
	w, err := (<-dialers).Dial()
	if err != nil {
		b.Fatal(err)
	}
	r, err := lis.Accept()
	if err != nil {
		b.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, 32<<10))
		read <- err
	}()
	p := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
	if err := <-read; err != nil {
		b.Fatal(err)
	}
	r.Close()
}
