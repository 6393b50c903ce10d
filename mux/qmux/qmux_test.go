package qmux_test

import (
	"testing"

	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux/internal/windowtest"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/qmux"
)

func TestContract(t *testing.T) {
	long.Shorten(t)
	muxtest.Test(t, qmux.New())
}

func TestWindows(t *testing.T) { windowtest.Test(t, qmux.New()) }
