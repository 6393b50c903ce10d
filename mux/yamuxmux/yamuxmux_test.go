package yamuxmux_test

import (
	"testing"

	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/yamuxmux"
)

func TestContract(t *testing.T) {
	long.Shorten(t)
	muxtest.Test(t, yamuxmux.New(), muxtest.Deviation{Promise: muxtest.ResetWithCode, Because: "the protocol has no codes"})
}
