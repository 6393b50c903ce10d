package ws

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestMask masks at once and in parts, in place and not, and compares with the
// definition.
func TestMask(t *testing.T) {
	const key = 0xd4c3b2a1
	var keyBytes [4]byte
	binary.LittleEndian.PutUint32(keyBytes[:], key)
	src := make([]byte, 20_000)
	rand.NewChaCha8([32]byte{1}).Read(src)
	for _, size := range []int{0, 1, 3, 7, 8, 9, minPattern - 1, minPattern, minPattern + 1, patternSize, patternSize + 5, len(src)} {
		for offset := range 9 { // from an aligned address
			src := src[min(offset, len(src)-size):][:size]
			want := bytes.Clone(src)
			for i := range want {
				want[i] ^= keyBytes[i%4]
			}
			before := bytes.Clone(src)
			got := make([]byte, size+offset)[offset:]
			if next := mask(got, src, key); !bytes.Equal(got, want) || next != bits.RotateLeft32(key, -8*(size%4)) {
				t.Fatalf("%d bytes at %d are masked wrongly, or followed by key %#x", size, offset, next)
			}
			if !bytes.Equal(src, before) {
				t.Fatalf("%d bytes at %d: mask changed what it masks", size, offset)
			}
			if mask(got, got, key); !bytes.Equal(got, src) {
				t.Fatalf("%d bytes at %d are unmasked wrongly in place", size, offset)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		got, key := bytes.Clone(src), uint32(key)
		for at := 0; at < len(got); {
			n := min(len(got)-at, 1+r.IntN(1<<r.IntN(14)))
			key = mask(got[at:at+n], got[at:at+n], key)
			at += n
		}
		want := make([]byte, len(src))
		mask(want, src, 0xd4c3b2a1)
		if !bytes.Equal(got, want) {
			t.Fatal("what is masked in parts is not what is masked at once")
		}
	}
}

// TestMaskKeys counts the bits of keys: repeated or derived keys would be far off.
func TestMaskKeys(t *testing.T) {
	var keys maskKeys
	seen, ones := make(map[uint32]bool), 0
	const n = 4096
	for range n {
		key := keys.next()
		seen[key] = true
		ones += bits.OnesCount32(key)
	}
	// One collision is expected in 500 runs.
	if len(seen) < n-3 {
		t.Errorf("%d different keys of %d", len(seen), n)
	}
	if mean := float64(ones) / n; mean < 15.5 || mean > 16.5 { // 11 standard deviations
		t.Errorf("%.2f bits of a key are set, want 16", mean)
	}
}
