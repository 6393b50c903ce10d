//go:build unix

package interop

import (
	"errors"
	"io"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// TestCodes lets either end give streams up, and expects the other to learn why.
func TestCodes(t *testing.T) {
	everywhere(t, func(t *testing.T, k kind) {
		leak.Check(t)
		s := newSite(t)
		session, _ := s.meet(t, k)

		t.Run("of the server", func(t *testing.T) {
			for _, code := range []uint32{0, 26, 1<<32 - 1} {
				st := open(t, session, "watch")
				if _, err := io.ReadFull(st, make([]byte, 1)); err != nil {
					t.Fatal("read:", err)
				}
				st.ResetWithCode(code)
				r := s.hears(t, "watched", "")
				for i, half := range []string{"read", "write"} {
					if got := r.Codes[i]; got != int(code) {
						t.Errorf("%s: code %d, want %d", half, got, code)
					}
				}
			}
		})

		t.Run("of the client's abort", func(t *testing.T) {
			_, err := io.ReadAll(open(t, session, "abort 44"))
			wantCode(t, "read", err, 44)
		})

		t.Run("of the client's cancel", func(t *testing.T) {
			st := open(t, session, "cancel 4294967295")
			err := error(nil)
			for err == nil {
				_, err = st.Write(make([]byte, 16<<10))
			}
			wantCode(t, "write", err, 1<<32-1)
		})

		t.Run("none", func(t *testing.T) {
			st := open(t, session, "echo")
			st.CloseWrite()
			if n, err := st.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("read %d, %v, want io.EOF", n, err)
			}
		})
	})
}

// wantCode expects the client's code in err.
func wantCode(t *testing.T, what string, err error, code uint64) {
	t.Helper()
	e, ok := errors.AsType[*mux.ResetError](err)
	if !ok || e.Code != code || !errors.Is(err, mux.ErrReset) {
		t.Errorf("%s: error %v, want code %d and mux.ErrReset", what, err, code)
	}
}
