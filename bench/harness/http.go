package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// HTTP sends requests to a client that serves them, from 1 or 64 goroutines, which are
// users of the server: their answers have 1 KiB or 1 MiB. A subject without sessions is
// HTTP/1.1 as everybody has it.
func HTTP(b *testing.B, subjects []Subject) {
	for _, body := range []struct {
		name string
		size int
	}{{"1KiB", 1 << 10}, {"1MiB", 1 << 20}} {
		for _, users := range []int{1, 64} {
			b.Run(fmt.Sprintf("answers=%s/users=%d", body.name, users), func(b *testing.B) {
				each(b, subjects, func(b *testing.B, s Subject) { requests(b, s, body.size, users) })
			})
		}
	}
}

func requests(b *testing.B, s Subject, size, users int) {
	made := s.start(b)
	answer := make([]byte, size)
	var serving sync.WaitGroup
	defer serving.Wait()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Write(answer)
	})}
	serving.Go(func() { server.Serve(listener{made}) })
	defer server.Close()

	var dialling atomic.Int64
	dial := made.Dial
	made.Dial = func() (net.Conn, error) {
		dialling.Add(1)
		defer dialling.Add(-1)
		return dial()
	}
	transport := made.transport(users)
	defer transport.CloseIdleConnections()
	ask := func() error {
		request, err := http.NewRequest(http.MethodGet, "http://client/", nil)
		if err != nil {
			return err
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, response.Body)
		if n != int64(size) {
			err = errors.Join(err, fmt.Errorf("the answer has %d bytes of %d", n, size))
		}
		return errors.Join(err, response.Body.Close())
	}
	together := func(n int, l *Latency) {
		var left atomic.Int64
		left.Store(int64(n))
		var all sync.WaitGroup
		took := make([]Latency, users)
		for i := range users {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					took[i].Time(func() {
						if err := ask(); err != nil {
							b.Error(err)
							left.Store(0)
						}
					})
				}
			})
		}
		all.Wait()
		for _, t := range took {
			l.took = append(l.took, t.took...)
		}
	}
	together(2*users, new(Latency)) // opens the connections
	for deadline := time.Now().Add(patience); dialling.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // for dials that no request needed after all
	}
	var l Latency
	b.ResetTimer()
	before := processorTime()
	together(b.N, &l)
	b.StopTimer()
	if b.Failed() {
		return
	}
	b.ReportMetric(float64(l.Percentile(99)), "p99-ns")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	if used := processorTime() - before; used > 0 {
		b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/request")
	}
}

// transport keeps a connection for each user.
func (s *Session) transport(users int) Transport {
	if s.Transport != nil {
		return s.Transport()
	}
	return &http.Transport{
		DialContext:         func(context.Context, string, string) (net.Conn, error) { return s.Dial() },
		MaxIdleConnsPerHost: users,
		DisableCompression:  true, // which the clients do not do: it would only be asked for
	}
}

// A listener accepts the streams of a session, which Close closes.
type listener struct{ session *Session }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.session.Accept()
	if err != nil {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l listener) Close() error {
	l.session.Close()
	return nil
}

func (l listener) Addr() net.Addr { return &net.TCPAddr{} }
