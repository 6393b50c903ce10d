package nativemux_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/mux"
)

// TestIdlePackets expects that the carrier asks for no signs of life beside those that sessions
// ask for.
func TestIdlePackets(t *testing.T) {
	count := func(opts ...webtransport.Option) (packets int) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, conditions{})
			n.sessions(t, mux.Config{}, opts...)
			time.Sleep(time.Minute)
			before, _ := n.count()
			time.Sleep(10 * time.Minute)
			after, _ := n.count()
			packets = after - before
		})
		return packets
	}
	with, without := count(), count(webtransport.WithKeepAlive(-1))
	t.Logf("an idle session sends %.1f packets a minute, %.1f of them because the carrier asks", float64(with)/10, float64(with-without)/10)
	if with > without*6/5 { // some travel together, and not always the same
		t.Errorf("an idle session sends %d packets in ten minutes, want some %d, as if the carrier did not ask", with, without)
	}
}
