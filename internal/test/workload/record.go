package workload

import (
	"errors"
	"math/bits"
	"slices"
)

// A CallerRecord is what a [Caller] knows.
type CallerRecord struct {
	Tally
	Exchanges    int // that have ended
	Sent         uint32
	Acknowledged Set // requests that were answered
}

// A DeviceRecord is what a [Device] knows.
type DeviceRecord struct {
	Tally
	Seen       Set // requests
	Duplicates int // that were seen before
	Strays     int // requests for another device
}

// A Tally counts how connections have ended on one side, apart from success.
type Tally struct {
	Failed    int // with an error
	Corrupt   int // something arrived that was not sent
	Truncated int // ended early, as if the other side had finished
	Longest   Call

	// Reason is the latest error of the failed ones.
	Reason string
}

// outcome counts the end of a connection.
func (t *Tally) outcome(err error) {
	switch {
	case err == nil:
	case errors.Is(err, errCorrupt):
		t.Corrupt++
	case errors.Is(err, errEnded):
		t.Truncated++
	default:
		t.Failed++
		t.Reason = err.Error()
	}
}

// A Set is a set of numbers, one bit for each.
type Set []uint64

// add adds n, and reports whether it was missing.
func (s *Set) add(n uint32) bool {
	word, bit := int(n/64), uint64(1)<<(n%64)
	if missing := word + 1 - len(*s); missing > 0 {
		*s = append(*s, make([]uint64, missing)...)
	}
	added := (*s)[word]&bit == 0
	(*s)[word] |= bit
	return added
}

// Has reports whether n is in s.
func (s Set) Has(n uint32) bool {
	word := int(n / 64)
	return word < len(s) && s[word]&(1<<(n%64)) != 0
}

// Len returns how many numbers are in s.
func (s Set) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// without returns the numbers that are not in other.
func (s Set) without(other Set) Set {
	rest := s.clone()
	for i := range min(len(rest), len(other)) {
		rest[i] &^= other[i]
	}
	return rest
}

func (s Set) clone() Set { return slices.Clone(s) }
