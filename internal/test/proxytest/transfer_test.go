//go:build unix

package proxytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/mux"
)

// TestTransfer sends much both ways at once, and ends each way by itself.
func TestTransfer(t *testing.T) {
	down, up := noise(1, 10_000_000), noise(2, 10_000_000)
	forEach(t, func(t *testing.T, k kind) {
		s := startServer(t, "server")
		p := startProxy(t, k, k.servers(s.addr))
		for _, w := range ways() {
			t.Run(w.name, func(t *testing.T) {
				lis, d := p.connect(t, w, s, nil)

				t.Run("both ways at once", func(t *testing.T) {
					far, near := pair(t, d, lis)
					done := make(chan error, 4)
					go func() { done <- send(far, down) }()
					go func() { done <- send(near, up) }()
					go func() { done <- expect(near, down) }()
					go func() { done <- expect(far, up) }()
					for range cap(done) {
						if err := await.From(t, "the transfer", done); err != nil {
							t.Error(err)
						}
					}
				})

				for _, first := range []string{"server", "client"} {
					t.Run("the "+first+" ends first", func(t *testing.T) {
						one, other := pair(t, d, lis)
						if first == "client" {
							one, other = other, one
						}
						some := down[:100_000]
						done := make(chan error, 2)
						go func() { done <- send(one, some) }()
						go func() { done <- errors.Join(expect(other, some), send(other, up[:1_000_000])) }()
						if err := expect(one, up[:1_000_000]); err != nil {
							t.Error("after the end of the other way:", err)
						}
						for range cap(done) {
							if err := await.From(t, "both ends", done); err != nil {
								t.Error(err)
							}
						}
					})
				}
			})
		}
	})
}

// noise returns n bytes.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// send sends b, and then ends the direction.
func send(st mux.Stream, b []byte) error {
	_, err := st.Write(b)
	if err == nil {
		err = st.CloseWrite()
	}
	return err
}

// expect expects b, and then the end.
func expect(st mux.Stream, b []byte) error {
	got, err := io.ReadAll(st)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, b) {
		return fmt.Errorf("received %d bytes, other than the %d that were sent", len(got), len(b))
	}
	return nil
}
