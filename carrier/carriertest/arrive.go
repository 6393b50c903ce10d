package carriertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
)

// arrives waits for messages with Arrive, and interrupts it.
func arrives(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		conn, messages := promptReader(t, end), messageConn(t, end)
		if arrive(t, conn, false) {
			t.Error("a message has arrived before anything was written")
		}
		waiting := start(func() bool { return conn.Arrive(true) })
		time.Sleep(10 * time.Millisecond) // usually it waits by now, and must end either way
		conn.Interrupt()
		if receiveWithin(t, atOnce, "Arrive after Interrupt", waiting) {
			t.Error("an interrupted Arrive reports a message")
		}
		conn.Interrupt()
		if arrive(t, conn, true) {
			t.Error("Arrive after Interrupt reports a message")
		}

		conn.Interrupt() // which must not end anything else
		reading := start(func() []byte { return readMessage(t, messages) })
		want := []byte("after an interrupt")
		if _, err := peer.Write(want); err != nil {
			t.Fatal("Write:", err)
		}
		if got := receive(t, "a message", reading); !bytes.Equal(got, want) {
			t.Errorf("message %q, want %q", got, want)
		}
		arrive(t, conn, true) // uses up the interrupt

		waiting = start(func() bool { return conn.Arrive(true) })
		if _, err := peer.Write(want); err != nil {
			t.Fatal("Write:", err)
		}
		if !receive(t, "Arrive", waiting) || !arrive(t, conn, true) || !arrive(t, conn, false) {
			t.Error("Arrive does not report a small message")
		}
		doneWithin(t, atOnce, "reading what has arrived", func() {
			if got := readMessage(t, messages); !bytes.Equal(got, want) {
				t.Errorf("message %q, want %q", got, want)
			}
		})

		waiting = start(func() bool { return conn.Arrive(true) })
		end.Close()
		if receiveWithin(t, atOnce, "Arrive after Close", waiting) {
			t.Error("Arrive after Close reports a message")
		}
		if _, err := messages.NextMessage(1); !errors.Is(err, net.ErrClosed) {
			t.Errorf("NextMessage after Close: %v, want net.ErrClosed", err)
		}
	})
	eachWay(t, target, arrivesWhileInterrupted)
}

// arrivesWhileInterrupted sends messages of all sizes, and interrupts Arrive again and
// again. No message may be lost, and each that Arrive reports must be there.
func arrivesWhileInterrupted(t *testing.T, end, peer carrier.Conn) {
	conn, messages := promptReader(t, end), messageConn(t, end)
	const count = 300
	size := func(i int) int { return 1 + i*i%997*(1+i%5*(i%7)) }
	data := noise(5)
	writing := start(func() error {
		for i := range count {
			if _, err := peer.Write(data[:size(i)]); err != nil {
				return err
			}
			if i%10 == 0 {
				time.Sleep(time.Millisecond) // lets the other wait
			}
		}
		return nil
	})
	stop := make(chan struct{})
	interrupting := start(func() error {
		for r := rand.New(rand.NewPCG(5, 6)); ; time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond) {
			select {
			case <-stop:
				return nil
			default:
				conn.Interrupt()
			}
		}
	})
	reading := start(func() error {
		for i := range count {
			whole := conn.Arrive(true)
			got, began := readMessage(t, messages), time.Now()
			if !bytes.Equal(got, data[:size(i)]) {
				return fmt.Errorf("message %d has %d bytes, want %d, or others", i, len(got), size(i))
			}
			if took := time.Since(began); whole && took > atOnce {
				return fmt.Errorf("reading message %d, which had arrived, takes %v", i, took)
			}
		}
		return nil
	})
	if err := receive(t, "reading", reading); err != nil {
		t.Error(err)
	}
	close(stop)
	<-interrupting
	if err := receive(t, "Write", writing); err != nil {
		t.Error("Write:", err)
	}
}

// arrive calls Arrive, which must return at once.
func arrive(t *testing.T, conn carrier.PromptReader, wait bool) (whole bool) {
	t.Helper()
	doneWithin(t, atOnce, "Arrive", func() { whole = conn.Arrive(wait) })
	return whole
}

// readMessage reads the next message.
func readMessage(t *testing.T, conn carrier.MessageConn) []byte {
	if _, err := conn.NextMessage(1 << 20); err != nil {
		t.Error("NextMessage:", err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Error("Read:", err)
	}
	return got
}
