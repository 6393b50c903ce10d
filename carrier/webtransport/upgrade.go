package webtransport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/dunglas/httpsfv"
	"github.com/quic-go/quic-go/http3"

	"github.com/backdial/backdial/carrier"
)

// The headers in which application protocols are negotiated
// (draft-ietf-webtrans-http3, section 3.3).
const (
	availableProtocols = "Wt-Available-Protocols"
	chosenProtocol     = "Wt-Protocol"
)

// Offer reports whether r asks for a WebTransport session, and the application
// protocols that it offers. A list of them that is malformed offers none.
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

// Upgrade makes a connection of a request that has come through an endpoint of
// [Carrier.Listen] or [Carrier.ListenHTTP3]; a ResponseWriter of middleware has
// to have an Unwrap method. protocol is one that the client offered, or "". It
// answers with status 403 if the origin is not allowed (see
// [WithCheckOrigin]), 400 if the client is not fit for it, 500 if w, r or protocol is
// not, and 503 if the client may have more luck another time.
func (c *Carrier) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	conn, status, err := c.upgrade(w, r, protocol)
	if err != nil {
		http.Error(w, http.StatusText(status), status)
		return nil, fmt.Errorf("webtransport: upgrade: %w", err)
	}
	return conn, nil
}

func (c *Carrier) upgrade(w http.ResponseWriter, r *http.Request, protocol string) (_ carrier.Conn, status int, _ error) {
	if _, ok := c.Offer(r); !ok {
		return nil, http.StatusBadRequest, fmt.Errorf("request is not for WebTransport: method %.*q, protocol %.*q", maxShown, r.Method, maxShown, r.Proto)
	}
	if !carrier.OriginAllowed(r) && !c.checkOrigin(r) {
		return nil, http.StatusForbidden, fmt.Errorf("%w: %.*q", carrier.ErrOrigin, maxShown, r.Header.Get("Origin"))
	}
	from, ok := r.Context().Value(arrivalKey{}).(*arrival)
	if !ok {
		return nil, http.StatusInternalServerError, errors.New("request did not come through an endpoint of this carrier: make one with Listen, or with ListenHTTP3 for an http3.Server of your own")
	}
	answer, ok := unwrap(w)
	if !ok {
		return nil, http.StatusInternalServerError, fmt.Errorf("%T is not the ResponseWriter of an HTTP/3 request, and has no Unwrap method that leads to it", w)
	}
	if err := choose(answer.Header(), r, protocol); err != nil {
		return nil, http.StatusInternalServerError, err
	}
	// The session may end before Upgrade does.
	from.endpoint.count(from.quic, 1)
	session, err := from.endpoint.server.Upgrade(answer, r)
	if err != nil {
		from.endpoint.count(from.quic, -1)
		answer.Header().Del(chosenProtocol)
		return nil, unfit(answer), lost(err)
	}
	context.AfterFunc(session.Context(), func() { from.endpoint.count(from.quic, -1) })
	// The stream was taken over above. To ask again changes nothing.
	return newServerConn(from.quic, session, protocol, answer.HTTPStream(), from.endpoint.windows), http.StatusOK, nil
}

// unfit is the status for a client of which no session could be made: it is its
// fault if it cannot send datagrams, and otherwise that of the path, on which its
// settings did not arrive in time, or of a server that is about to close. A client
// that is told 400 has no reason to come again.
func unfit(answer response) int {
	select {
	case <-answer.ReceivedSettings():
		if !answer.Settings().EnableDatagrams {
			return http.StatusBadRequest
		}
	default:
	}
	return http.StatusServiceUnavailable
}

// choose puts the answer to what the client offered into h.
func choose(h http.Header, r *http.Request, protocol string) error {
	for _, content := range []string{"Content-Type", "Content-Length", "Content-Encoding"} {
		h.Del(content) // which middleware may have set, and a session has not
	}
	if protocol == "" {
		return nil
	}
	if !slices.Contains(offered(r), protocol) {
		return fmt.Errorf("protocol %.*q was not offered", maxShown, protocol)
	}
	value, err := httpsfv.Marshal(httpsfv.NewItem(protocol))
	if err != nil {
		return fmt.Errorf("protocol %.*q: %w", maxShown, protocol, err)
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
}

// unwrap finds the response in what middleware has made of it.
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
