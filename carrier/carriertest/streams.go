package carriertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
)

// eachStreamWay calls test with a new connection for each direction: first end is the
// client's, then the server's. It skips t for a carrier without streams.
func eachStreamWay(t *testing.T, target Target, test func(t *testing.T, end, peer carrier.StreamConn)) {
	t.Helper()
	if _, ok := target.Carrier.(carrier.StreamCarrier); !ok {
		t.Skip("not a StreamCarrier")
	}
	streams := func(t *testing.T) (client, server carrier.StreamConn) {
		p := plain(t, target)
		client, isOne := p.client.(carrier.StreamConn)
		server, isAnother := p.server.(carrier.StreamConn)
		if !isOne || !isAnother {
			t.Fatalf("connections %T and %T of a StreamCarrier, want both to be a StreamConn", p.client, p.server)
		}
		return client, server
	}
	t.Run("Client", func(t *testing.T) {
		client, server := streams(t)
		test(t, client, server)
	})
	t.Run("Server", func(t *testing.T) {
		client, server := streams(t)
		test(t, server, client)
	})
}

// openPair opens a stream on end and accepts it on peer.
func openPair(t *testing.T, end, peer carrier.StreamConn) (opened, accepted carrier.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	opened, err := end.OpenStream(ctx)
	if err != nil {
		t.Fatalf("OpenStream: %v", err)
	}
	accepted, err = peer.AcceptStream(ctx)
	if err != nil {
		t.Fatalf("AcceptStream of a stream on which nothing was written: %v", err)
	}
	return opened, accepted
}

func streamsAnnounced(t *testing.T, target Target) {
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		ids := make(map[uint64]bool)
		for range 3 {
			opened, accepted := openPair(t, end, peer)
			if opened.ID() != accepted.ID() || ids[opened.ID()] {
				t.Errorf("a stream has ID %d on one end and %d on the other, after %v", opened.ID(), accepted.ID(), ids)
			}
			ids[opened.ID()] = true
			if err := passes(accepted, opened, "the acceptor speaks first"); err != nil {
				t.Error(err)
			}
		}
	})
}

// passes writes message to one end of a stream and reads it from the other.
func passes(from io.Writer, to io.Reader, message string) error {
	if _, err := io.WriteString(from, message); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != message {
		return fmt.Errorf("read %q, %v, want %q", got, err, message)
	}
	return nil
}

func streamsCarryBytes(t *testing.T, target Target) {
	const streams, size = 20, 128 << 10
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		var wg sync.WaitGroup
		for i := range streams {
			wg.Go(func() {
				s, err := peer.AcceptStream(t.Context())
				if err == nil {
					err = echoAll(s)
				}
				if err != nil {
					t.Errorf("acceptor: %v", err)
				}
				if err != nil && s != nil { // the opening goroutine must not wait for it
					s.CancelWrite(1)
				}
			})
			wg.Go(func() {
				s, err := end.OpenStream(t.Context())
				if err == nil {
					err = sendAll(s, noise(byte(i))[:size])
				}
				if err != nil {
					t.Errorf("opener: %v", err)
				}
			})
		}
		doneWithin(t, 3*patience, "echoing on many streams", wg.Wait)
	})
}

// echoAll reads until io.EOF, and then sends everything back.
func echoAll(s carrier.Stream) error {
	all, err := io.ReadAll(s)
	if err != nil {
		return fmt.Errorf("read after %d bytes: %w", len(all), err)
	}
	if _, err := s.Write(all); err != nil {
		return fmt.Errorf("write in the other direction: %w", err)
	}
	return s.CloseWrite()
}

// sendAll sends data to an end that runs echoAll, and checks the echo.
func sendAll(s carrier.Stream, data []byte) error {
	if _, err := s.Write(data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := s.CloseWrite(); err != nil {
		return fmt.Errorf("CloseWrite: %w", err)
	}
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, data) {
		return fmt.Errorf("%d bytes came back, %v, want the %d that were sent", len(got), err, len(data))
	}
	return nil
}

func streamsCancel(t *testing.T, target Target) {
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		opened, accepted := openPair(t, end, peer)
		read := start(func() error { return readOne(accepted) })
		opened.CancelWrite(9)
		wantCanceled(t, "Read", receive(t, "Read that CancelWrite should wake", read), 9)
		if err := passes(accepted, opened, "the other direction goes on"); err != nil {
			t.Error(err)
		}
		read = start(func() error { return readOne(opened) })
		written := start(func() error { return writeOn(accepted) })
		opened.CancelRead(1<<32 - 1)
		wantCanceled(t, "Write", receive(t, "failing of the peer's Write after CancelRead", written), 1<<32-1)
		// What arrived before may be read.
		if err := receive(t, "Read that CancelRead should wake", read); err == io.EOF || isClosed(err) {
			t.Errorf("Read of the end that canceled it returned %v", err)
		}
		openPair(t, end, peer) // the connection goes on
	})
}

func streamsTell(t *testing.T, target Target) {
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		opened, accepted := openPair(t, end, peer)
		ask := func() error {
			return receive(t, "Read into no bytes", start(func() error { _, err := opened.Read(nil); return err }))
		}
		if err := ask(); err != nil {
			t.Errorf("Read into no bytes of a stream without any: %v", err)
		}
		if err := passes(accepted, opened, "some bytes"); err != nil {
			t.Error(err)
		}
		if _, err := accepted.Write(make([]byte, 64<<10)); err != nil { // nobody reads it
			t.Error("write:", err)
		}
		if err := ask(); err != nil {
			t.Errorf("Read into no bytes of a stream with some: %v", err)
		}
		accepted.CancelWrite(9)
		err := ask()
		for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); err = ask() {
			time.Sleep(time.Millisecond)
		}
		wantCanceled(t, "Read into no bytes", err, 9)
		if _, err := opened.Write([]byte("the other direction goes on")); err != nil {
			t.Error("write:", err)
		}
	})
}

func wantCanceled(t *testing.T, what string, err error, code uint32) {
	t.Helper()
	if canceled, ok := errors.AsType[*carrier.CanceledError](err); !ok || canceled.Code != code || isClosed(err) {
		t.Errorf("%s of a stream that the peer canceled returned %v, want a CanceledError with code %d", what, err, code)
	}
}

func streamsHaveDeadlines(t *testing.T, target Target) {
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		opened, accepted := openPair(t, end, peer)
		read := start(func() error { return readOne(opened) })
		written := start(func() error { return writeOn(opened) })
		past := time.Now().Add(-time.Second)
		if err := errors.Join(opened.SetReadDeadline(past), opened.SetWriteDeadline(past)); err != nil {
			t.Fatal(err)
		}
		wantDeadline(t, "Read", receive(t, "Read after its deadline", read))
		wantDeadline(t, "Write", receive(t, "Write after its deadline", written))
		if err := opened.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := passes(accepted, opened, "after the deadline was lifted"); err != nil {
			t.Error(err)
		}
	})
	eachStreamWay(t, target, deadlinesAreExact)
}

// readOne reads a byte.
func readOne(s carrier.Stream) error {
	_, err := s.Read(make([]byte, 1))
	return err
}

// writeOn writes until Write fails.
func writeOn(s carrier.Stream) error {
	for p := make([]byte, 1<<20); ; {
		if _, err := s.Write(p); err != nil {
			return err
		}
	}
}

func wantDeadline(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s after its deadline returned %v, want os.ErrDeadlineExceeded", what, err)
	}
}

// An outcome is the error of a call with a deadline, and how long after the deadline it
// returned.
type outcome struct {
	err  error
	late time.Duration
}

// deadlinesAreExact checks that deadlines end calls neither early nor, unless the machine
// is busy, late.
func deadlinesAreExact(t *testing.T, end, peer carrier.StreamConn) {
	const exact = 100 * time.Millisecond
	opened, _ := openPair(t, end, peer)
	for what, wait := range map[string]func(carrier.Stream) error{"Read": readOne, "Write": writeOn} {
		soonest := patience
		for range 5 {
			deadline := time.Now().Add(exact)
			if err := errors.Join(opened.SetReadDeadline(deadline), opened.SetWriteDeadline(deadline)); err != nil {
				t.Fatal(err)
			}
			ended := start(func() outcome { return outcome{wait(opened), time.Since(deadline)} })
			o := receive(t, what+" with a deadline", ended)
			wantDeadline(t, what, o.err)
			soonest = min(soonest, o.late)
		}
		if soonest < 0 || soonest > exact {
			t.Errorf("%s ends %v after its deadline at best, want between 0 and %v", what, soonest, exact)
		}
	}
}

func streamsEnd(t *testing.T, target Target) {
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		opened, accepted := openPair(t, end, peer)
		own, others := waiting(t, end, opened), waiting(t, peer, accepted)
		doneWithin(t, atOnce, "Close", func() { end.Close() })
		for what, result := range own {
			if err := receive(t, what+" that Close should wake", result); !isClosed(err) {
				t.Errorf("%s that Close woke returned %v, want net.ErrClosed", what, err)
			}
		}
		for what, err := range calls(t, end, opened) {
			if !isClosed(err) {
				t.Errorf("%s after Close returned %v, want net.ErrClosed", what, err)
			}
		}
		for what, result := range others {
			if err := receive(t, what+" of the peer of Close", result); err == nil || isClosed(err) || errors.Is(err, io.EOF) {
				t.Errorf("%s of the peer of Close returned %v, want neither net.ErrClosed nor io.EOF", what, err)
			}
		}
		for what, err := range calls(t, peer, accepted) {
			if err == nil || isClosed(err) || errors.Is(err, io.EOF) {
				t.Errorf("%s after the peer's Close returned %v, want neither net.ErrClosed nor io.EOF", what, err)
			}
		}
	})
}

// waiting starts calls that wait until the connection ends.
func waiting(t *testing.T, conn carrier.StreamConn, s carrier.Stream) map[string]<-chan error {
	return map[string]<-chan error{
		"Read":         start(func() error { _, err := s.Read(make([]byte, 1)); return err }),
		"AcceptStream": start(func() error { _, err := conn.AcceptStream(t.Context()); return err }),
	}
}

// calls makes calls that all fail once the connection has ended.
func calls(t *testing.T, conn carrier.StreamConn, s carrier.Stream) map[string]error {
	_, opening := conn.OpenStream(t.Context())
	_, accepting := conn.AcceptStream(t.Context())
	_, reading := s.Read(make([]byte, 1))
	_, writing := s.Write(make([]byte, 1))
	return map[string]error{
		"OpenStream":       opening,
		"AcceptStream":     accepting,
		"Read":             reading,
		"Write":            writing,
		"SetReadDeadline":  s.SetReadDeadline(time.Time{}),
		"SetWriteDeadline": s.SetWriteDeadline(time.Time{}),
		"CloseWrite":       s.CloseWrite(),
	}
}

func streamsEndWithContext(t *testing.T, target Target) {
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		ctx, cancel := context.WithCancel(t.Context())
		accepted := start(func() error { _, err := end.AcceptStream(ctx); return err })
		cancel()
		wantContextError(t, "in AcceptStream", accepted, context.Canceled)
		opened := start(func() error { _, err := end.OpenStream(ctx); return err })
		wantContextError(t, "before OpenStream", opened, context.Canceled)
		openPair(t, end, peer)
		openPair(t, peer, end)
	})
}

func streamsBesideBytes(t *testing.T, target Target) {
	eachStreamWay(t, target, func(t *testing.T, end, peer carrier.StreamConn) {
		first, firstAccepted := openPair(t, end, peer) // before there were any bytes
		read := start(func() error { _, err := io.ReadFull(peer, make([]byte, 5)); return err })
		written := start(func() error { _, err := io.WriteString(end, "bytes"); return err })
		echoed := start(func() error { return passes(peer, end, "bytes too") })
		second, secondAccepted := openPair(t, peer, end)
		for what, err := range map[string]error{
			"stream opened by one end":   passes(first, firstAccepted, "beside the bytes"),
			"stream opened by the other": passes(secondAccepted, second, "beside the bytes"),
			"Write":                      receive(t, "Write", written),
			"Read":                       receive(t, "Read", read),
			"echo":                       receive(t, "echo", echoed),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
