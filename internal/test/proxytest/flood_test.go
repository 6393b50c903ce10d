//go:build unix

package proxytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// A flood is a connection on which both ends send without end.
type flood struct {
	name    string
	arrived [2]atomic.Int64 // bytes
	ended   chan error      // why each of the four directions has
}

// startFlood starts a flood, which ends with its session.
func startFlood(t *testing.T, name string, d *transport.Dialer, lis net.Listener) *flood {
	t.Helper()
	far, near := pair(t, d, lis)
	f := &flood{name: name, ended: make(chan error, 4)}
	for i, direction := range []struct{ from, to mux.Stream }{{far, near}, {near, far}} {
		sent := noise(byte(i), 1<<16+1)
		go func() {
			for {
				if _, err := direction.from.Write(sent); err != nil {
					f.ended <- fmt.Errorf("write: %w", err)
					return
				}
			}
		}()
		go func() { f.ended <- f.read(direction.to, sent, &f.arrived[i]) }()
	}
	return f
}

// errOther is matched by the error of a direction on which something arrived that was not
// sent.
var errOther = errors.New("something else came than was sent")

// read reads what is sent again and again, and returns the error that ends that.
func (f *flood) read(from io.Reader, sent []byte, n *atomic.Int64) error {
	b, want := make([]byte, 1<<15), append(sent, sent...)
	var wrong error
	for {
		got, err := from.Read(b)
		if at := int(n.Load() % int64(len(sent))); wrong == nil && !bytes.Equal(b[:got], want[at:at+got]) {
			wrong = fmt.Errorf("%w, among %d bytes after %d", errOther, got, n.Load())
		}
		n.Add(int64(got))
		if err != nil {
			return errors.Join(fmt.Errorf("read: %w", err), wrong)
		}
	}
}

// flows reports whether much has arrived already.
func (f *flood) flows() bool { return f.arrived[0].Load() > 1<<20 && f.arrived[1].Load() > 1<<20 }

// check waits for the end, which every direction must notice. Nothing wrong may arrive
// before, unless the proxy garbles.
func (f *flood) check(t *testing.T, garbles bool) {
	t.Helper()
	for range cap(f.ended) {
		err := await.From(t, "the end of "+f.name, f.ended)
		if !errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, errOther) && !garbles {
			t.Errorf("%s: %v, want mux.ErrSessionEnded, and nothing wrong before", f.name, err)
		}
	}
}
