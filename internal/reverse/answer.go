package reverse

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"

	"github.com/backdial/backdial/redact"
)

const (
	// maxHeaderBytes limits the header of an answer. In memory the smallest fields take 40
	// times as much as in the answer, and HTTP/2 counts 32 bytes more for each.
	maxHeaderBytes = 64 << 10

	// maxInformational is how many informational answers a request may have: one every 10 s,
	// from a busy client, for a quarter of an hour.
	maxInformational = 100

	// netHTTPHeaderBytes is the limit of an [http.Transport] that sets none.
	netHTTPHeaderBytes = 10 << 20
)

// RoundTrip sends r with t, which [NewTransport] has made. It limits the informational answers
// (1xx), and redacts what the client says in errors.
func RoundTrip(t *http.Transport, r *http.Request) (*http.Response, error) {
	most := t.MaxResponseHeaderBytes
	if most <= 0 {
		most = netHTTPHeaderBytes
	}
	answer, err := t.RoundTrip(WithInformational(r, most, nil))
	if err != nil {
		return nil, redact.Error(err)
	}
	answer.Request = r
	if answer.StatusCode != http.StatusSwitchingProtocols { // its body is a connection
		answer.Body = answerBody{answer.Body}
	}
	return answer, nil
}

// WithInformational returns r with a limit of its informational answers: 100, with so many
// bytes in all. [http.Transport] limits only those that nothing traces. edit, if not nil, may
// change their fields before other traces of r see them.
func WithInformational(r *http.Request, bytes int64, edit func(http.Header)) *http.Request {
	ctx := httptrace.WithClientTrace(r.Context(), new(httptrace.ClientTrace))
	trace := httptrace.ContextClientTrace(ctx) // the new one, with the functions of others
	others := trace.Got1xxResponse
	left := informational{answers: maxInformational, bytes: bytes}
	trace.Got1xxResponse = func(status int, h textproto.MIMEHeader) error {
		if err := left.take(status, h); err != nil {
			return err // ends r
		}
		if edit != nil {
			edit(http.Header(h))
		}
		if others != nil {
			return others(status, h)
		}
		return nil
	}
	return r.WithContext(ctx)
}

var (
	errInformational = fmt.Errorf("the client sends more than %d informational answers", maxInformational)
	errLong          = errors.New("the client's informational answers are longer than a header may be")
	errSwitch        = errors.New("the client answers with status 101, which HTTP/2 does not have")
)

// An informational is how many informational answers a request may still have, and how many
// bytes of them.
type informational struct {
	mu      sync.Mutex // guards below: r may be sent again while net/http still reads the first attempt
	answers int
	bytes   int64
}

func (left *informational) take(status int, h textproto.MIMEHeader) error {
	left.mu.Lock()
	defer left.mu.Unlock()
	left.answers--
	for name, values := range h {
		for _, value := range values {
			left.bytes -= int64(len(name) + len(value) + len(": \r\n"))
		}
	}
	switch {
	case status == http.StatusSwitchingProtocols: // RFC 9113, section 8.6
		return errSwitch
	case left.answers < 0:
		return errInformational
	case left.bytes < 0:
		return errLong
	}
	return nil
}

// An answerBody is the body of an answer, whose errors repeat malformed chunks and trailers.
type answerBody struct{ io.ReadCloser }

func (b answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	return n, redact.Error(err)
}
