package transport

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/redact"
)

// The ends of a session tell each other in the headers of the handshake what they would
// otherwise have to wait for. Older versions and other libraries ignore these fields and
// send none.
const (
	// greetingHeader holds the greetings of multiplexers ([mux.Greeter]), in Base64, as a
	// dictionary of byte sequences (RFC 9651). The keys are their protocols. A client has one
	// for each multiplexer that it offers, and the server answers with that of the one that
	// it picks.
	greetingHeader = "Backdial-Greeting"

	// keepAliveHeader is the interval of [WithKeepAlive], in milliseconds. An end that has
	// not set it does not send it.
	keepAliveHeader = "Backdial-Keep-Alive"
)

// maxKeepAlive is the longest interval that an end takes over from its peer, so that no peer
// can keep a session that is lost for much longer.
const maxKeepAlive = 10 * time.Minute

// withTerms returns a client's header with its terms for each of muxes.
func withTerms(header http.Header, muxes muxSet, limits *mux.Config) http.Header {
	var greetings []string
	for _, m := range muxes {
		if g, ok := m.(mux.Greeter); ok {
			greetings = append(greetings, encodeGreeting(g, limits))
		}
	}
	header = maps.Clone(header)
	if header == nil {
		header = make(http.Header)
	}
	withoutTerms(header) // which the user may have copied from elsewhere
	if len(greetings) > 0 {
		header.Set(greetingHeader, strings.Join(greetings, ", "))
	}
	setKeepAlive(header, limits)
	return header
}

// withoutTerms removes the terms from header, which are of no use to its reader.
func withoutTerms(header http.Header) {
	header.Del(greetingHeader)
	header.Del(keepAliveHeader)
}

// greetingsOf returns the greetings of muxes, by protocol, as a server sends them.
func greetingsOf(muxes muxSet, limits *mux.Config) map[string]string {
	greetings := make(map[string]string)
	for _, m := range muxes {
		if g, ok := m.(mux.Greeter); ok {
			greetings[m.Protocol()] = encodeGreeting(g, limits)
		}
	}
	return greetings
}

// answerTerms puts the server's terms into the header of its answer. greeting is for a client
// that has greeted the server, and otherwise "".
func answerTerms(header http.Header, greeting string, limits *mux.Config) {
	if greeting != "" {
		header.Set(greetingHeader, greeting)
	}
	setKeepAlive(header, limits)
}

func encodeGreeting(g mux.Greeter, limits *mux.Config) string {
	return g.Protocol() + "=:" + base64.StdEncoding.EncodeToString(g.Greeting(*limits)) + ":"
}

func setKeepAlive(header http.Header, limits *mux.Config) {
	if limits.KeepAlive > 0 {
		header.Set(keepAliveHeader, strconv.FormatInt(limits.KeepAlive.Milliseconds(), 10))
	}
}

// agree returns limits with the peer's terms for m, which are in header.
func agree(limits mux.Config, m mux.Muxer, header http.Header) (mux.Config, error) {
	var err error
	limits.Greeting = nil // not the user's
	if g, ok := m.(mux.Greeter); ok {
		if limits.Greeting, err = greetingFor(g, header); err != nil {
			return limits, err
		}
	}
	theirs, err := keepAliveOf(header)
	if own := limits.WithDefaults().KeepAlive; err == nil && own > 0 && theirs > own {
		limits.KeepAlive = max(own, min(theirs, maxKeepAlive))
	}
	return limits, err
}

// greetingFor returns the greeting in header for g, or nil if there is none.
func greetingFor(g mux.Greeter, header http.Header) (greeting []byte, err error) {
	for _, field := range header[greetingHeader] {
		for member := range strings.SplitSeq(field, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(member), "=")
			if key != g.Protocol() {
				continue
			}
			if greeting, err = decodeGreeting(value); err == nil {
				err = g.CheckGreeting(greeting)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", greetingHeader, key, err)
			}
		}
	}
	return greeting, nil
}

func decodeGreeting(value string) ([]byte, error) {
	text, begins := strings.CutPrefix(value, ":")
	text, ends := strings.CutSuffix(text, ":")
	if !begins || !ends || len(text) > base64.StdEncoding.EncodedLen(mux.MaxGreeting) {
		return nil, fmt.Errorf("%w: %s is not a byte sequence of at most %d bytes", mux.ErrProtocol, redact.Quote(value), mux.MaxGreeting)
	}
	greeting, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not in Base64", mux.ErrProtocol, redact.Quote(value))
	}
	return greeting, nil
}

// keepAliveOf returns the peer's interval, or 0 if it has set none.
func keepAliveOf(header http.Header) (time.Duration, error) {
	value := header.Get(keepAliveHeader)
	if value == "" {
		return 0, nil
	}
	ms, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %s is not a number of milliseconds", mux.ErrProtocol, keepAliveHeader, redact.Quote(value))
	}
	return time.Duration(min(ms, uint64(maxKeepAlive.Milliseconds()))) * time.Millisecond, nil
}
