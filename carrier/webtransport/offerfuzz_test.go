package webtransport

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"

	"github.com/backdial/backdial/redact"
)

// FuzzOffer lets a client offer anything. The client must learn the server's choice, and
// a server that chooses anything else must say nothing.
func FuzzOffer(f *testing.F) {
	f.Fuzz(func(t *testing.T, fields, protocol string) {
		r := asking(strings.Split(fields, "\n"))
		offered, ok := New().Offer(r)
		if !ok {
			t.Fatal("Offer does not know a request for a session")
		}
		for _, p := range append(offered, protocol) {
			h := http.Header{"Content-Type": {"text/html"}, "Content-Length": {"5"}, "Content-Encoding": {"gzip"}}
			err := choose(h, r, p)
			switch {
			case p == "":
				if err != nil || len(h) > 0 {
					t.Errorf("without a protocol the answer has the header %v, %v", h, err)
				}
			case slices.Contains(offered, p):
				if got := chosen(t, h); got != p || err != nil || len(h) > 1 {
					t.Errorf("the choice of %q is answered with %v, %v", p, h, err)
				}
			default:
				if err == nil || len(h) > 0 || len(err.Error()) > 100+redact.MaxText+len("…") {
					t.Errorf("the choice of %q is answered with %v, %v", p, h, err)
				}
			}
		}
		checkOffered(t, strings.Split(protocol, ","))
	})
}

// checkOffered expects a server to see what a client offers, if it can be expressed.
func checkOffered(t *testing.T, offers []string) {
	t.Helper()
	var list httpsfv.List
	for _, p := range offers {
		list = append(list, httpsfv.NewItem(p))
	}
	field, err := httpsfv.Marshal(list)
	if err != nil {
		return
	}
	if got, _ := New().Offer(asking([]string{field})); !slices.Equal(got, offers) {
		t.Errorf("of %q a server sees %q", offers, got)
	}
}

// asking is a request for a session, with header fields that offer protocols.
func asking(fields []string) *http.Request {
	return &http.Request{
		Method: http.MethodConnect,
		Proto:  "webtransport-h3",
		Header: http.Header{availableProtocols: fields},
	}
}

// chosen is what a client reads in an answer.
func chosen(t *testing.T, h http.Header) string {
	t.Helper()
	item, err := httpsfv.UnmarshalItem(h[chosenProtocol])
	if err != nil {
		t.Fatalf("answer %v: %v", h, err)
	}
	protocol, _ := item.Value.(string)
	return protocol
}
