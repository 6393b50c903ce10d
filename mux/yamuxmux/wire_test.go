package yamuxmux

import (
	"testing"

	"github.com/backdial/backdial/mux/internal/engine/wiretest"
)

func FuzzFrames(f *testing.F) { wiretest.Fuzz(f, wire{}) }
