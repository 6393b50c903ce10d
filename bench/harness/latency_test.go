package harness

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	for _, test := range []struct{ n, p, want int }{
		{1, 50, 1}, {1, 99, 1}, {7, 50, 4}, {7, 99, 7}, {100, 50, 50}, {100, 99, 99}, {1000, 99, 990},
	} {
		var l Latency
		for i := range test.n {
			l.took = append(l.took, time.Duration(i+1))
		}
		if got := l.Percentile(test.p); got != time.Duration(test.want) {
			t.Errorf("percentile %d of 1 to %d is %d, want %d", test.p, test.n, got, test.want)
		}
	}
}
