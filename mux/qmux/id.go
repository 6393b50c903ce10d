package qmux

import (
	"slices"
	"sort"
)

// The low bits of a stream's id say who opens it and in which directions it goes
// (RFC 9000, section 2.1). The rest is its index.
const (
	bitServer = 1 // the server opens it, otherwise the client
	bitUni    = 2 // it has one direction
	idBits    = 2
)

// A side is an end of a session, in terms of the streams that it opens.
type side uint64

const (
	listenSide side = 0         // QUIC's client
	dialSide   side = bitServer // QUIC's server
)

// id is that of the stream which the side opens with an index.
func (s side) id(index uint64) uint64 { return index<<idBits | uint64(s) }

// opens reports whether it is the side that opens streams with this id.
func (s side) opens(id uint64) bool { return side(id&bitServer) == s }

// Arrived are the streams that a peer has opened. To use one opens all that have a
// lower index; those are told from such as are over, although only one has been heard
// of.
type arrived struct {
	next  uint64 // after the highest index
	holes []span // below it: what has not been heard of
}

// A span is the indices from first to before end.
type span struct{ first, end uint64 }

// add notes that the stream with this index has been heard of, and reports whether
// that is news.
func (a *arrived) add(index uint64) bool {
	if index >= a.next {
		if index > a.next {
			a.holes = append(a.holes, span{a.next, index})
		}
		a.next = index + 1
		return true
	}
	i := sort.Search(len(a.holes), func(i int) bool { return a.holes[i].end > index })
	if i == len(a.holes) || index < a.holes[i].first {
		return false
	}
	hole := a.holes[i]
	var rest []span
	if hole.first < index {
		rest = append(rest, span{hole.first, index})
	}
	if index+1 < hole.end {
		rest = append(rest, span{index + 1, hole.end})
	}
	a.holes = slices.Replace(a.holes, i, i+1, rest...)
	return true
}
