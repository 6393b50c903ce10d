package metrics

import (
	"slices"
	"testing"
)

func TestDialBuckets(t *testing.T) {
	for _, test := range []struct{ buckets, want []float64 }{
		{nil, defaultDialBuckets},
		{[]float64{}, defaultDialBuckets},
		{[]float64{1, 2}, []float64{1, 2}},
	} {
		if got := newConfig([]Option{WithDialBuckets(test.buckets...)}).dialBuckets; !slices.Equal(got, test.want) {
			t.Errorf("with %v: %v, want %v", test.buckets, got, test.want)
		}
	}
}
