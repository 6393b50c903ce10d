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
	// maxHeaderBytes bounds the header of an answer. In memory the smallest fields take
	// 40 times as much as in the answer, and HTTP/2 counts 32 bytes more for each.
	maxHeaderBytes = 64 << 10

	// maxInformational is how many informational answers a request may have: one every
	// 10 s, from a client that is busy, for a quarter of an hour.
	maxInformational = 100

	// netHTTPHeaderBytes is what an [http.Transport] has for no bound.
	netHTTPHeaderBytes = 10 << 20
)

// RoundTrip sends r by t, which [NewTransport] has made. It bounds the informational
// answers (1xx), and has errors show what the client says as they may.
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
	if answer.StatusCode != http.StatusSwitchingProtocols { // whose body is a connection
		answer.Body = answerBody{answer.Body}
	}
	return answer, nil
}

// WithInformational returns r with a bound of its informational answers: there may be 100,
// which take so many bytes together. [http.Transport] has a bound only for those that nobody
// looks at. edit, if not nil, may change their fields, before others who trace r see them.
func WithInformational(r *http.Request, bytes int64, edit func(http.Header)) *http.Request {
	ctx := httptrace.WithClientTrace(r.Context(), new(httptrace.ClientTrace))
	trace := httptrace.ContextClientTrace(ctx) // that one, which has got what others trace
	others := trace.Got1xxResponse
	left := informational{answers: maxInformational, bytes: bytes}
	trace.Got1xxResponse = func(status int, h textproto.MIMEHeader) error {
		if err := left.take(status, h); err != nil {
			return err // which ends r
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

// An informational is how many informational answers a request may still have, and of how
// many bytes.
type informational struct {
	mu      sync.Mutex // guards below: r may be sent again while the end of an attempt is read
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

// An answerBody is the body of an answer, whose errors repeat what is wrong with its
// chunks and trailers.
type answerBody struct{ io.ReadCloser }

func (b answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	return n, redact.Error(err)
}
