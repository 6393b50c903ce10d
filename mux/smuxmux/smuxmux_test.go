package smuxmux_test

import (
	"testing"

	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/smuxmux"
)

func TestContract(t *testing.T) {
	muxtest.Test(t, smuxmux.New())
}
