package mem

import (
	"cmp"
	"net/http"

	"github.com/backdial/backdial/carrier"
)

// maxBody is how much of an answer's body a client sees.
const maxBody = 1 << 10

// response records an answer that refuses the client.
type response struct {
	exchange *exchange
	header   http.Header
	sent     http.Header // header as it was at WriteHeader
	status   int         // 0 before WriteHeader
	body     []byte
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	informational := status < 200
	if informational || w.status != 0 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p[:min(len(p), maxBody-len(w.body))]...)
	if len(w.body) == maxBody { // the client waits for nothing more
		w.exchange.giveUp(w.rejection())
	}
	return len(p), nil
}

// rejection returns the answer as an error.
func (w *response) rejection() *carrier.RejectedError {
	header := w.sent
	if w.status == 0 {
		header = w.header
	}
	return &carrier.RejectedError{
		StatusCode: cmp.Or(w.status, http.StatusOK),
		Header:     header,
		Body:       w.body,
	}
}

// asResponse returns the response that is w, or that middleware has wrapped in w.
func asResponse(w http.ResponseWriter) (r *response, ok bool) {
	for {
		switch v := w.(type) {
		case *response:
			return v, true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil, false
		}
	}
}
