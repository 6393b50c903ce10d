package transport

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/carrier/mem"
)

// In TestServerSays servers send all sorts of IDs. The first valid one counts.
func TestServerSays(t *testing.T) {
	for _, test := range []struct {
		name string
		says []string
		want string
	}{
		{"nothing", nil, ""},
		{"an empty ID", []string{""}, ""},
		{"too long an ID", []string{strings.Repeat("x", 129)}, ""},
		{"far too long an ID", []string{strings.Repeat("x", 1000)}, ""},
		{"what would be two", []string{"a, b"}, ""},
		{"another line", []string{"a\r\nHost: b"}, ""},
		{"an ID", []string{"a"}, "a"},
		{"an ID after all", []string{"", "a"}, "a"},
		{"another later", []string{"a", "b", "a", "c"}, "a"},
		{"again and again", slices.Repeat([]string{"a"}, 1000), "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := mem.New()
				dialers := make(chan *Dialer, 10)
				s := NewServer(EndpointHandlerFunc(func(d *Dialer) { dialers <- d }), WithCarriers(network))
				defer s.Close()
				e, err := network.Listen("server", nil, s)
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				go e.Serve()
				lis, err := DialAndListenContext(t.Context(), "mem://server", nil, WithCarriers(network), WithReconnect(Backoff{}), WithSessions(2))
				if err != nil {
					t.Fatal(err)
				}
				defer lis.Close()
				d := <-dialers
				for _, id := range test.says {
					d.session.say(controlMessage{kind: controlServer, text: id})
				}
				synctest.Wait()
				if got := lis.Sessions()[0].Server; got != test.want {
					t.Errorf("the server is %q, want %q", got, test.want)
				}
				if n := len(dialers); (n == 1) != (test.want != "") {
					t.Errorf("%d further sessions, want one for a server with an ID, and none for others", n)
				}
			})
		})
	}
}
