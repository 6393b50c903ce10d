package fleet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// In TestSlowUsers 300 users download from one device at a time, all on slow links. The proxy
// may not hold all that they have yet to take, so the device waits, and no download is cut.
func TestSlowUsers(t *testing.T) {
	long.Only(t)
	for name, m := range map[string]transport.Option{
		"qmux":  transport.WithMuxes(qmux.New()),
		"yamux": transport.WithMuxes(yamuxmux.New()),
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			slowUsers(t, m)
		})
	}
}

func slowUsers(t *testing.T, muxes transport.Option) {
	const users, size = 300, 1 << 20
	s := newSite(t)
	body := make([]byte, size)
	s.connectWeb(t, "1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }), muxes)
	front := httptest.NewUnstartedServer(&fleet.ReverseProxy{Fleet: s.Fleet, Domain: "example"})
	front.Listener = slowListener{front.Listener}
	front.Start()
	t.Cleanup(front.Close)
	results := make(chan error, users)
	for range users {
		go func() { results <- download(front.URL, size) }()
	}
	for range users {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// download reads 64 KiB of a body every 300 ms.
func download(url string, size int64) error {
	links := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				c.(*net.TCPConn).SetReadBuffer(16 << 10)
			}
			return c, err
		},
	}
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	r.Host = "1.example"
	answer, err := links.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", answer.Status)
	}
	var got int64
	for err == nil {
		<-time.After(300 * time.Millisecond) // the link
		var n int64
		n, err = io.CopyN(io.Discard, answer.Body, 64<<10)
		got += n
	}
	if err != io.EOF || got != size {
		return fmt.Errorf("%d of %d bytes, %w", got, size, err)
	}
	return nil
}

// A slowListener accepts connections with small write buffers.
type slowListener struct{ net.Listener }

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		c.(*net.TCPConn).SetWriteBuffer(16 << 10)
	}
	return c, err
}
