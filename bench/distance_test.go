package bench

import (
	"testing"

	"github.com/backdial/backdial/bench/harness"
)

func BenchmarkDistance(b *testing.B) { harness.Distance(b, subjects()) }
func BenchmarkLoss(b *testing.B)     { harness.Loss(b, leading()) }
