package muxtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
)

func intact(t *testing.T, connect Connect) {
	t.Run("64 MiB", func(t *testing.T) { intactBothWays(t, connect) })
	t.Run("nothing at all", func(t *testing.T) { intactEmpty(t, connect) })
}

// intactBothWays compares every byte of 32 MiB each way, or of as much as there is time
// for. It writes pieces of many sizes from a buffer that it overwrites as soon as Write
// returns.
func intactBothWays(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	dialled, accepted := p.open(t)
	var sending, comparing []<-chan result[int]
	for i, way := range []struct{ from, to mux.Stream }{{dialled, accepted}, {accepted, dialled}} {
		seed := uint64(i + 1)
		sending = append(sending, startValue(func() (int, error) { return sendPattern(way.from, seed) }))
		comparing = append(comparing, startValue(func() (int, error) { return comparePattern(way.to, seed) }))
	}
	for i := range sending {
		sent, err := awaitValueWithin(t, suite.Limit()*3/4, "Write", sending[i])
		if err != nil {
			t.Error(err)
		}
		if sent < patternSize {
			t.Logf("only %d bytes in %v", sent, soon)
		}
		if got, err := awaitValueWithin(t, soon, "Read", comparing[i]); err != nil || got != sent {
			t.Errorf("%d of %d bytes are what was written, then %v", got, sent, err)
		}
	}
}

const patternSize = 32 << 20

// A pattern is an endless sequence of bytes that does not repeat.
type pattern struct {
	source *rand.ChaCha8
	sizes  *rand.Rand
}

func newPattern(seed uint64) *pattern {
	return &pattern{rand.NewChaCha8([32]byte{byte(seed)}), rand.New(rand.NewPCG(seed, 0))}
}

// next fills a part of buf with the next bytes of the sequence.
func (p *pattern) next(buf []byte) []byte {
	buf = buf[:1+p.sizes.IntN(len(buf))]
	p.source.Read(buf)
	return buf
}

func sendPattern(st mux.Stream, seed uint64) (sent int, err error) {
	source, buf := newPattern(seed), make([]byte, 256<<10)
	for begun := time.Now(); sent < patternSize && time.Since(begun) < soon; {
		piece := source.next(buf)
		n, err := st.Write(piece)
		if sent += n; n != len(piece) || err != nil {
			return sent, fmt.Errorf("write of %d bytes: %d, %w", len(piece), n, err)
		}
		clear(piece) // it is the caller's again
	}
	return sent, st.CloseWrite()
}

// comparePattern reads up to the end, and returns how many bytes are right.
func comparePattern(st mux.Stream, seed uint64) (read int, err error) {
	source, buf := newPattern(seed), make([]byte, 256<<10)
	for got := make([]byte, len(buf)); ; {
		want := source.next(buf)
		n, err := io.ReadFull(st, got[:len(want)])
		if !bytes.Equal(got[:n], want[:n]) {
			return read, fmt.Errorf("something that was not written, in the next %d", n)
		}
		switch read += n; {
		case err == io.EOF: // between two writes, as it should be
			return read, nil
		case err != nil:
			return read, err
		}
	}
}

// intactEmpty reads and writes no bytes, which must neither wait nor end a stream.
func intactEmpty(t *testing.T, connect Connect) {
	p := connect.pair(t, mux.Config{}, mux.Config{})
	dialled, accepted := p.open(t)
	for _, way := range []struct{ from, to mux.Stream }{{dialled, accepted}, {accepted, dialled}} {
		for what, call := range map[string]func([]byte) (int, error){"Read": way.to.Read, "Write": way.from.Write} {
			n, err := awaitValue(t, what+" of nothing", startValue(func() (int, error) { return call(nil) }))
			if n != 0 || err != nil {
				t.Errorf("%s of nothing: %d, %v, want no error", what, n, err)
			}
		}
		way.to.SetReadDeadline(time.Now().Add(soon))
		io.WriteString(way.from, "something")
		if _, err := io.ReadFull(way.to, make([]byte, len("something"))); err != nil {
			t.Error("read after nothing was written:", err)
		}
	}
}

// concurrentWrites runs several writers on one stream. Each Write is larger than a frame,
// and must arrive in one piece.
func concurrentWrites(t *testing.T, connect Connect) {
	const (
		writers = 8
		rounds  = 10
		size    = 300_000
	)
	p := connect.pair(t, mux.Config{}, mux.Config{})
	writer, reader := p.open(t)
	var all sync.WaitGroup
	errs := make(chan error, writers)
	for i := range writers {
		all.Go(func() {
			piece := bytes.Repeat([]byte{byte(i)}, size)
			for range rounds {
				if n, err := writer.Write(piece); n != size || err != nil {
					errs <- fmt.Errorf("write: %d of %d bytes, %w", n, size, err)
					return
				}
			}
		})
	}
	ended := start(func() error { all.Wait(); return writer.CloseWrite() })
	letBlock() // until the writers wait for each other or for the reader
	reading := start(func() error {
		for piece := make([]byte, size); ; {
			if _, err := io.ReadFull(reader, piece); err == io.EOF {
				return nil
			} else if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			if bytes.Count(piece, piece[:1]) != size {
				return errors.New("concurrent Writes interleave")
			}
		}
	})
	if err := awaitLong(t, "Read", reading); err != nil {
		t.Fatal(err)
	}
	await(t, "Write", ended)
	for len(errs) > 0 {
		t.Error(<-errs)
	}
}
