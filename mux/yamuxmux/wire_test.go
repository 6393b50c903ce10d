package yamuxmux

import (
	"testing"

	"github.com/backdial/backdial/internal/engine/wiretest"
)

func FuzzFrames(f *testing.F) { wiretest.Fuzz(f, wire{}) }
