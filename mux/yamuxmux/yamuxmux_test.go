package yamuxmux_test

import (
	"testing"

	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/yamuxmux"
)

func TestContract(t *testing.T) {
	muxtest.Test(t, yamuxmux.New())
}
