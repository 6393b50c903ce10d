package relay_test

import (
	"io"
	"testing"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/qmux"
)

// BenchmarkThroughput carries bytes from the asker to the device, and without a hop.
func BenchmarkThroughput(b *testing.B) {
	h := newHop(b, qmux.New(), qmux.New(), mux.Config{}, overTCP)
	b.Run("direct", func(b *testing.B) {
		from, to := openStream(b, h.asker, h.near)
		carry(b, from, to)
	})
	b.Run("relayed", func(b *testing.B) {
		from, to, _ := h.open(b)
		carry(b, from, to)
	})
}

func carry(b *testing.B, from, to mux.Stream) {
	defer to.Close()
	chunk := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	go func() {
		defer from.Close()
		for range b.N {
			from.Write(chunk)
		}
	}()
	buf := make([]byte, len(chunk))
	for {
		if _, err := to.Read(buf); err != nil {
			if err != io.EOF {
				b.Error(err)
			}
			return
		}
	}
}
