// Package shed chooses the streams of a session that have to go when its buffer
// is full.
package shed

import (
	"cmp"
	"slices"
	"time"
)

// Lately is how long a stream counts as read after it was.
const Lately = time.Second

// A Load is what a stream weighs.
type Load struct {
	Holds int       // bytes of memory
	Read  time.Time // when it was read for the last time, roughly
}

// Order returns the streams that hold something, in the order in which they are to
// be reset: those that nobody has read lately first, and of these the ones that
// hold most.
func Order[S any](streams []S, load func(S) Load) []S {
	type loaded struct {
		stream S
		holds  int
		class  int
	}
	var all []loaded
	now := time.Now()
	for _, s := range streams {
		l := load(s)
		class := 0
		if now.Sub(l.Read) < Lately {
			class = 1
		}
		if l.Holds > 0 {
			all = append(all, loaded{s, l.Holds, class})
		}
	}
	slices.SortFunc(all, func(a, b loaded) int {
		return cmp.Or(a.class-b.class, b.holds-a.holds)
	})
	ordered := make([]S, len(all))
	for i, l := range all {
		ordered[i] = l.stream
	}
	return ordered
}
