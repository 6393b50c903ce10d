package engine_test

import (
	"testing"

	"github.com/backdial/backdial/mux/internal/windowtest"
)

func TestWindows(t *testing.T) { each(t, windowtest.Test) }
