package qmux

import (
	"slices"
	"sort"
)

// The low bits of a stream's id say which end opens it and in which directions it goes
// (RFC 9000, section 2.1). The rest is its index.
const (
	bitServer = 1 // the server opens it, otherwise the client
	bitUni    = 2 // it has one direction
	idBits    = 2
)

// A side is an end of a session, with respect to the streams that it opens.
type side uint64

const (
	listenSide side = 0         // QUIC's client
	dialSide   side = bitServer // QUIC's server
)

// id returns the id of this side's stream with the given index.
func (s side) id(index uint64) uint64 { return index<<idBits | uint64(s) }

// opens reports whether this side opens streams with that id.
func (s side) opens(id uint64) bool { return side(id&bitServer) == s }

// indexSet tracks the streams that a peer has opened. The first frame of a stream opens
// all streams with a lower index too; holes tells those, which are not over, from streams
// that are.
type indexSet struct {
	next  uint64 // the highest index plus one
	holes []span // indices below next that no frame has named yet
}

// A span is the indices from first up to, but without, end.
type span struct{ first, end uint64 }

// add notes a frame for the stream with this index, and reports whether it is the first.
func (a *indexSet) add(index uint64) bool {
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
