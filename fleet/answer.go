package fleet

import (
	"io"
	"math"
	"net/http"

	"github.com/backdial/backdial/internal/reverse"
)

// An editing is a RoundTripper that changes the informational answers of a client, which
// [httputil.ReverseProxy] passes on unchanged. Transports of this module limit them, others
// may not.
type editing struct {
	http.RoundTripper
	edit func(http.Header)
}

func (e editing) RoundTrip(r *http.Request) (*http.Response, error) {
	return e.RoundTripper.RoundTrip(reverse.WithInformational(r, math.MaxInt64, e.edit))
}

// An ending is the body of an answer that calls atEnd at its end: then the trailers are known,
// and not passed on yet.
type ending struct {
	io.ReadCloser
	atEnd func()
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err == io.EOF {
		e.atEnd()
	}
	return n, err
}
