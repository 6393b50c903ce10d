package engine

import (
	"math"

	"github.com/backdial/backdial/mux"
)

// Each end opens streams with half of the 32-bit ids, and uses each id once: a peer may
// still be sending frames of an earlier stream with the same id.
const (
	maxID = math.MaxUint32 - 2

	// reserve is how many streams can still be opened when OnExhausting is called: as many
	// as a client dialled 10,000 times a second needs in half an hour.
	reserve = 1 << 24

	// firstReserved is half of the first id in the reserve, on both sides.
	firstReserved = maxID/2 - reserve
)

// takeIDLocked returns the id for a stream that this end opens.
func (s *session) takeIDLocked() uint32 {
	id := s.nextID
	s.nextID += 2
	if id/2 == firstReserved && s.Config.OnExhausting != nil {
		s.WG.Go(s.Config.OnExhausting)
	}
	return id
}

// exhaustedError is the error of Open when the ids are used up. It matches
// [mux.ErrGoAway].
type exhaustedError struct{}

func (exhaustedError) Error() string { return "the session has used up its stream ids: use another" }

func (exhaustedError) Is(target error) bool { return target == mux.ErrGoAway }
