package transport

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
)

// In TestLateStart a carrier runs some time after its turn has come, because the machine is
// busy. It has its head start from its turn on, as the next carrier does not wait longer.
func TestLateStart(t *testing.T) {
	for _, test := range []struct {
		after  time.Duration // from its turn until another has won
		broken bool
	}{
		{defaultHeadStart - 1, false},
		{defaultHeadStart, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := config{}.withDefaults()
			tr := &try{config: &c, by: c.carriers[0], request: carrier.Request{URL: &url.URL{Scheme: "ws", Host: "server"}}}
			turn := time.Now()
			time.Sleep(test.after)
			if !tr.begin(turn) {
				t.Fatal("too late to begin")
			}
			tr.endLost()
			if tr.broken() != test.broken {
				t.Errorf("%v after its turn: broken %v, want %v", test.after, tr.broken(), test.broken)
			}
		})
	}
}
