package qmux_test

import (
	"testing"

	"github.com/backdial/backdial/internal/windowtest"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/qmux"
)

func TestContract(t *testing.T) {
	muxtest.Test(t, qmux.New())
}

func TestWindows(t *testing.T) { windowtest.Test(t, qmux.New()) }
