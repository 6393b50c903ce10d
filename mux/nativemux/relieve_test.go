package nativemux

import (
	"slices"
	"testing"
)

// TestExpendable expects abandoned streams to be reset from the fullest on, until enough
// is free, and never one that alone waits for memory.
func TestExpendable(t *testing.T) {
	small, middle, large, other := &stream{}, &stream{}, &stream{}, &stream{}
	abandoned := []*stream{small, large, middle}
	for name, test := range map[string]struct {
		waits []*stream
		want  int // bytes
		reset []*stream
	}{
		"enough is free":     {[]*stream{other}, 0, nil},
		"the largest":        {[]*stream{other}, 1, []*stream{large}},
		"and the next":       {[]*stream{other}, 31, []*stream{large, middle}},
		"all":                {[]*stream{other}, 1000, []*stream{large, middle, small}},
		"nobody waits":       {nil, 1000, nil},
		"it waits alone":     {[]*stream{large}, 1000, []*stream{middle, small}},
		"two wait, and more": {[]*stream{large, middle}, 1000, []*stream{large, small}},
	} {
		loads := map[*stream]load{small: {holds: 10}, middle: {holds: 20}, large: {holds: 30}, other: {holds: 90}}
		for _, st := range test.waits {
			l := loads[st]
			l.waits = true
			loads[st] = l
		}
		if got := expendable(loads, slices.Clone(abandoned), test.want); !slices.Equal(got, test.reset) {
			t.Errorf("%s: %d streams are reset, want %d, or others", name, len(got), len(test.reset))
		}
	}
}
