package muxtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// writeTo runs WriteTo on what arrives.
func writeTo(t *testing.T, connect Connect) {
	wantPower[mux.WriterTo](t, connect)
	parts := make(map[string]func(t *testing.T))
	for name, test := range map[string]func(t *testing.T, p Pair, st mux.WriterTo, peer mux.Stream){
		"to the end":            writeToEnd,
		"until the peer resets": writeToReset,
		"until a cut":           writeToCut,
		"until a deadline":      writeToDeadline,
		"until Close":           writeToClose,
		"to a failing writer":   writeToFailing,
		"to a waiting writer":   writeToWaiting,
		"beside Read":           writeToBesideRead,
	} {
		parts[name] = func(t *testing.T) {
			eachEnd(t, connect, func(t *testing.T, p Pair, st, peer mux.Stream) {
				test(t, p, st.(mux.WriterTo), peer)
			})
		}
	}
	inParallel(t, parts)
}

// passing starts a WriteTo.
func passing(st mux.WriterTo, w io.Writer) <-chan result[int64] {
	return startValue(func() (int64, error) { return st.WriteTo(w) })
}

// passed returns the result of a WriteTo.
func passed(t *testing.T, call <-chan result[int64]) (int64, error) {
	t.Helper()
	return awaitValue(t, "WriteTo", call)
}

// sending writes p to st in the background, and then ends the stream.
func sending(st mux.Stream, p []byte) <-chan error {
	return start(func() error {
		_, err := st.Write(p)
		return errors.Join(err, st.CloseWrite())
	})
}

func writeToEnd(t *testing.T, _ Pair, st mux.WriterTo, peer mux.Stream) {
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	writing := sending(peer, sent)
	var got bytes.Buffer
	if n, err := passed(t, passing(st, &got)); n != int64(len(sent)) || err != nil {
		t.Errorf("WriteTo: %d, %v, want all %d bytes", n, err, len(sent))
	}
	if !bytes.Equal(got.Bytes(), sent) {
		t.Errorf("WriteTo passes on %d bytes that are not the %d that were written", got.Len(), len(sent))
	}
	if err := await(t, "Write", writing); err != nil {
		t.Error("write:", err)
	}
	if n, err := passed(t, passing(st, io.Discard)); n != 0 || err != nil {
		t.Errorf("WriteTo at the end: %d, %v, want none and no error", n, err)
	}
}

func writeToReset(t *testing.T, _ Pair, st mux.WriterTo, peer mux.Stream) {
	call := passing(st, io.Discard)
	peer.Write(make([]byte, 300_000))
	reset(t, peer)
	if _, err := passed(t, call); !errors.Is(err, mux.ErrReset) || errors.Is(err, io.EOF) {
		t.Errorf("WriteTo: error %v, want mux.ErrReset and not io.EOF", err)
	}
}

func writeToCut(t *testing.T, p Pair, st mux.WriterTo, peer mux.Stream) {
	call := passing(st, io.Discard)
	writing := writing(peer)
	letBlock()
	p.DialLink.Cut()
	if _, err := passed(t, call); !errors.Is(err, mux.ErrSessionEnded) || errors.Is(err, io.EOF) {
		t.Errorf("WriteTo: error %v, want mux.ErrSessionEnded and not io.EOF", err)
	}
	await(t, "Write", writing)
}

func writeToDeadline(t *testing.T, _ Pair, st mux.WriterTo, peer mux.Stream) {
	var got bytes.Buffer
	call := passing(st, &got)
	io.WriteString(peer, "before ")
	letBlock()
	st.SetReadDeadline(time.Now().Add(-time.Second))
	if n, err := passed(t, call); n != int64(got.Len()) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("WriteTo: %d of %d bytes, %v, want os.ErrDeadlineExceeded", n, got.Len(), err)
	}
	st.SetReadDeadline(time.Time{})
	writing := sending(peer, []byte("after"))
	if _, err := passed(t, passing(st, &got)); got.String() != "before after" || err != nil {
		t.Errorf("WriteTo after a deadline: %q, %v", got.String(), err)
	}
	await(t, "Write", writing)
}

// A gate lets the first Write pass, or fail, when it is told to.
type gate struct {
	bytes.Buffer
	first  chan []byte // the bytes of that Write
	opened chan struct{}
	fails  error
}

func newGate() *gate { return &gate{first: make(chan []byte, 1), opened: make(chan struct{})} }

// given waits for the first Write, and returns its bytes.
func (g *gate) given(t *testing.T) []byte {
	t.Helper()
	select {
	case p := <-g.first:
		return p
	case <-time.After(soon):
		t.Fatal("WriteTo writes nothing")
		return nil
	}
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.first <- p:
	default:
	}
	<-g.opened
	if g.fails != nil {
		return 1, g.fails
	}
	return g.Buffer.Write(p)
}

// writeToClose closes the stream while WriteTo waits in w. The bytes that w was given
// must not change.
func writeToClose(t *testing.T, p Pair, st mux.WriterTo, peer mux.Stream) {
	g := newGate()
	call := passing(st, g)
	sent := bytes.Repeat([]byte("0123456789"), 1000)
	peer.Write(sent)
	given := g.given(t)
	if err := await(t, "Close", start(st.Close)); err != nil {
		t.Error("Close:", err)
	}
	for range 20 { // they need memory
		other, otherPeer := p.open(t)
		otherPeer.SetDeadline(time.Now().Add(soon))
		other.Write(bytes.Repeat([]byte("x"), len(sent)))
		io.ReadFull(otherPeer, make([]byte, len(sent)))
		other.Close()
		otherPeer.Close()
	}
	if !bytes.HasPrefix(sent, given) {
		t.Error("what WriteTo has handed over changes when the stream is closed")
	}
	close(g.opened)
	if n, err := passed(t, call); n != int64(len(given)) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo after Close: %d of %d bytes, %v, want net.ErrClosed", n, len(given), err)
	}
}

func writeToFailing(t *testing.T, _ Pair, st mux.WriterTo, peer mux.Stream) {
	g := newGate()
	g.fails = errors.New("full")
	close(g.opened)
	io.WriteString(peer, "hello")
	if n, err := passed(t, passing(st, g)); n != 1 || err != g.fails {
		t.Errorf("WriteTo: %d, %v, want what the writer returned, 1 and %v", n, err, g.fails)
	}
}

// writeToWaiting uses a writer that does not take what it is given, which must stop the
// peer.
func writeToWaiting(t *testing.T, _ Pair, st mux.WriterTo, peer mux.Stream) {
	g := newGate()
	call := passing(st, g)
	sent := bytes.Repeat([]byte("0123456789"), 800_000)
	peer.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	n, err := awaitValue(t, "Write", startValue(func() (int, error) { return peer.Write(sent) }))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %d bytes, %v, want os.ErrDeadlineExceeded: nobody takes them", n, err)
	}
	g.given(t)
	close(g.opened)
	peer.SetWriteDeadline(time.Time{})
	writing := sending(peer, sent[n:])
	if _, err := passed(t, call); !bytes.Equal(g.Bytes(), sent) || err != nil {
		t.Errorf("WriteTo: %d of %d bytes, %v", g.Len(), len(sent), err)
	}
	await(t, "Write", writing)
}

// writeToBesideRead checks that nothing is handed over twice.
func writeToBesideRead(t *testing.T, _ Pair, st mux.WriterTo, peer mux.Stream) {
	g := newGate()
	call := passing(st, g)
	writing := sending(peer, make([]byte, 100_000))
	g.given(t)
	beside := startValue(func() (int, error) { return st.Read(make([]byte, 10)) })
	letBlock()
	close(g.opened)
	n, err := passed(t, call)
	if m, _ := awaitValue(t, "Read", beside); n+int64(m) != 100_000 || err != nil {
		t.Errorf("WriteTo passes on %d bytes and Read %d, of 100,000; %v", n, m, err)
	}
	await(t, "Write", writing)
}
