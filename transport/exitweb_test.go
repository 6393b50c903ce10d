package transport_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/transport"
)

// exitingWeb is a program that serves HTTP. Its first request makes it stop. It answers
// that request once it has begun to stop, and closes its listener before it ends.
func exitingWeb(c carrier.Carrier) {
	lis := exitListener(c)
	defer lis.Close()
	asked, closed, stopped := make(chan bool), make(chan bool), make(chan error)
	device := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-closed
		io.WriteString(w, exitAnswer)
	})}
	go func() {
		<-asked
		stopped <- device.Shutdown(context.Background())
	}()
	device.Serve(lis) // until Shutdown has closed the listener
	close(closed)
	mustExit(<-stopped)
}

// In TestWebExits programs stop while they serve a request. The request is answered.
func TestWebExits(t *testing.T) {
	exitWebSocket(t, func(t *testing.T, mux string, dialers <-chan *transport.Dialer, env ...string) {
		for range exitRuns() {
			startProgram(t, "web", mux, "", env...)
			webAnswers(t, await.From(t, "client", dialers))
		}
	})
}

// TestWebTransportWebExits is TestWebExits for a carrier that keeps in memory what has not
// been acknowledged.
func TestWebTransportWebExits(t *testing.T) {
	exitWebTransport(t, func(t *testing.T, mux string, dialers <-chan *transport.Dialer, env ...string) {
		for range exitRuns() {
			startProgram(t, "webtransport web", mux, "", env...)
			webAnswers(t, await.From(t, "client", dialers))
		}
	})
}

// webAnswers asks a program that serves HTTP.
func webAnswers(t *testing.T, d *transport.Dialer) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}, Timeout: patience}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://device/")
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); string(got) != exitAnswer || err != nil {
		t.Errorf("the answer is %q, %v", got, err)
	}
}
