package webtransport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/redact"
)

// The headers that negotiate application protocols (draft-ietf-webtrans-http3, section
// 3.3).
const (
	availableProtocols = "Wt-Available-Protocols"
	chosenProtocol     = "Wt-Protocol"
)

// Offer reports whether r asks for a WebTransport session, and returns the application
// protocols that it offers. A malformed list offers none.
func (*Carrier) Offer(r *http.Request) (protocols []string, ok bool) {
	if r.Method != http.MethodConnect || r.Proto != "webtransport-h3" && r.Proto != "webtransport" {
		return nil, false
	}
	return offered(r), true
}

func offered(r *http.Request) []string {
	list, err := httpsfv.UnmarshalList(r.Header[availableProtocols])
	if err != nil {
		return nil
	}
	protocols := make([]string, 0, len(list))
	for _, member := range list {
		item, _ := member.(httpsfv.Item)
		protocol, ok := item.Value.(string)
		if !ok {
			return nil
		}
		protocols = append(protocols, protocol)
	}
	return protocols
}

// Upgrade returns the connection for a request that came through an endpoint of
// [Carrier.Listen] or [Carrier.ListenHTTP3]. A ResponseWriter of middleware must have an
// Unwrap method. protocol is one that the client offered, or "". Upgrade answers with
// status 403 if the origin is not allowed (see [WithCheckOrigin]), 400 if the client
// cannot be served, 500 if w, r or protocol is invalid, and 503 if the client may succeed
// another time.
func (c *Carrier) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	conn, status, err := c.upgrade(w, r, protocol)
	if err != nil {
		http.Error(w, http.StatusText(status), status)
		return nil, fmt.Errorf("webtransport: upgrade: %w", err)
	}
	return conn, nil
}

func (c *Carrier) upgrade(w http.ResponseWriter, r *http.Request, protocol string) (_ carrier.Conn, status int, _ error) {
	if decided, ok := r.Context().Value(decidedKey{}).(func()); ok {
		defer decided()
	}
	if _, ok := c.Offer(r); !ok {
		return nil, http.StatusBadRequest, fmt.Errorf("request is not for WebTransport: method %s, protocol %s", redact.Quote(r.Method), redact.Quote(r.Proto))
	}
	if !carrier.OriginAllowed(r) && !c.checkOrigin(r) {
		return nil, http.StatusForbidden, fmt.Errorf("%w: %s", carrier.ErrOrigin, redact.Quote(r.Header.Get("Origin")))
	}
	from := arrivalOf(r.Context())
	if from == nil {
		return nil, http.StatusInternalServerError, errors.New("request did not come through an endpoint of this carrier: make one with Listen, or with ListenHTTP3 for an http3.Server of your own")
	}
	answer, ok := unwrap(w)
	if !ok {
		return nil, http.StatusInternalServerError, fmt.Errorf("%T is not the ResponseWriter of an HTTP/3 request, and has no Unwrap method that leads to it", w)
	}
	if err := choose(answer.Header(), r, protocol); err != nil {
		return nil, http.StatusInternalServerError, err
	}
	select {
	case <-answer.ReceivedSettings():
	default: // do not wait: the caller has other clients to serve
		return nil, http.StatusServiceUnavailable, fmt.Errorf("client's SETTINGS did not arrive within %v of its request", settingsTimeout)
	}
	answer.SetWriteDeadline(time.Now().Add(answerTimeout))
	from.count(1, 0) // the session may end before Upgrade does
	session, err := from.endpoint.server.Upgrade(answer, r)
	if err != nil {
		from.count(-1, 0)
		answer.Header().Del(chosenProtocol)
		return nil, unfit(answer), lost(err)
	}
	answer.SetWriteDeadline(time.Time{})
	context.AfterFunc(session.Context(), func() { from.count(-1, 0) })
	// Session has taken the stream over above. Asking again changes nothing.
	return newServerConn(from.quic, session, protocol, answer.HTTPStream(), from.endpoint.windows), http.StatusOK, nil
}

// unfit returns the status for a client that got no session: 400 if the client cannot
// send datagrams, and 503 if the server is closing. A client that gets 400 need not try
// again.
func unfit(answer response) int {
	if !answer.Settings().EnableDatagrams {
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}

// choose writes the answer to the client's offer into h.
func choose(h http.Header, r *http.Request, protocol string) error {
	for _, content := range []string{"Content-Type", "Content-Length", "Content-Encoding"} {
		h.Del(content) // middleware may have set it; a session has none
	}
	if protocol == "" {
		return nil
	}
	if !slices.Contains(offered(r), protocol) {
		return fmt.Errorf("protocol %s was not offered", redact.Quote(protocol))
	}
	value, err := httpsfv.Marshal(httpsfv.NewItem(protocol))
	if err != nil {
		return fmt.Errorf("protocol %s: %w", redact.Quote(protocol), redact.Error(err))
	}
	h.Set(chosenProtocol, value)
	return nil
}

// A response is the ResponseWriter of an HTTP/3 request.
type response interface {
	http.ResponseWriter
	http.Flusher
	http3.HTTPStreamer
	http3.Settingser
	SetWriteDeadline(time.Time) error
}

// unwrap finds the response inside middleware's wrappers.
func unwrap(w http.ResponseWriter) (response, bool) {
	for {
		if found, ok := w.(response); ok {
			return found, true
		}
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil, false
		}
		w = wrapped.Unwrap()
	}
}
