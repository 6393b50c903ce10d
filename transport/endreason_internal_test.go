package transport

import (
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/carrier/mem"
)

// In TestToldReasons servers send reasons. The client ignores unknown ones, and those that a
// server may not give.
func TestToldReasons(t *testing.T) {
	for said, want := range map[string]EndReason{
		"kicked": EndKicked, "too_old": EndTooOld,
		"lost": EndClosedByPeer, "moved": EndClosedByPeer, "closed": EndClosedByPeer, "": EndClosedByPeer, "later": EndClosedByPeer,
	} {
		synctest.Test(t, func(t *testing.T) {
			network := mem.New()
			server := NewServer(EndpointHandlerFunc(func(d *Dialer) {
				d.session.say(controlMessage{kind: controlEnding, text: said})
				d.Close()
			}), WithCarriers(network))
			defer server.Close()
			e, err := network.Listen("server", nil, server)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			go e.Serve()
			lis, err := DialAndListenContext(t.Context(), "mem://server", nil, WithCarriers(network))
			if err != nil {
				t.Fatal(err)
			}
			<-lis.Done()
			if got := EndReasonOf(lis.Err()); got != want {
				t.Errorf("the server says %q, and the client %q because of %v, want %q", said, got, lis.Err(), want)
			}
		})
	}
}
