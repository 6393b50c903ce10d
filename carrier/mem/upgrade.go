package mem

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/redact"
)

// Offer reports whether r comes from a Dial of this package, and returns the protocols
// that it offers.
func (*Carrier) Offer(r *http.Request) (protocols []string, ok bool) {
	// Protocols travel in the context, not in the header, so no other request can look
	// like one of ours.
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, false
	}
	return slices.Clone(x.protocols), true
}

// Upgrade returns the server's end of the connection to the client. protocol is one that
// the client offered, or "". It fails if the client has given up or has been answered. If
// w or protocol is invalid, it answers with status 500.
func (*Carrier) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	conn, err := upgrade(w, protocol)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return nil, fmt.Errorf("mem: upgrade: %w", err)
	}
	return conn, nil
}

func upgrade(w http.ResponseWriter, protocol string) (carrier.Conn, error) {
	answer, ok := asResponse(w)
	if !ok {
		return nil, errors.New("not a request of this carrier")
	}
	if answer.status != 0 {
		return nil, fmt.Errorf("already answered with status %d", answer.status)
	}
	x := answer.exchange
	if protocol != "" && !slices.Contains(x.protocols, protocol) {
		return nil, fmt.Errorf("protocol %s was not offered", redact.Quote(protocol))
	}
	server, client := newPipe(protocol, x.server, x.client)
	if !x.decide(client, answer.header.Clone(), nil) {
		server.Close()
		client.Close()
		return nil, errors.New("client has given up, or is already connected")
	}
	return server, nil
}
