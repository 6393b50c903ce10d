package engine

import (
	"math"

	"github.com/backdial/backdial/mux"
)

// Each end opens streams with half of the ids that 32 bits can tell apart, and uses each
// once: a peer may still be sending frames of a stream that had it before.
const (
	maxID = math.MaxUint32 - 2

	// reserve is how many streams can be opened when the ids are said to run out: what a
	// client that is dialled 10,000 times a second needs in half an hour.
	reserve = 1 << 24

	// firstReserved is half of the id that begins the reserve, on both sides.
	firstReserved = maxID/2 - reserve
)

// takeIDLocked returns the id of a stream that is opened here.
func (s *session) takeIDLocked() uint32 {
	id := s.nextID
	s.nextID += 2
	if id/2 == firstReserved && s.Config.OnExhausting != nil {
		s.WG.Go(s.Config.OnExhausting)
	}
	return id
}

// exhaustedError is why Open fails when the ids are used up. It matches [mux.ErrGoAway].
type exhaustedError struct{}

func (exhaustedError) Error() string { return "the session has used up its stream ids: use another" }

func (exhaustedError) Is(target error) bool { return target == mux.ErrGoAway }
