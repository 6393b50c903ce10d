package carriertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/backdial/backdial/carrier"
)

// keepsMessages sends messages of many sizes, which must arrive as they were written.
func keepsMessages(t *testing.T, target Target) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		writer, reader := messageConn(t, end), messageConn(t, peer)
		const limit = 200_000
		data := noise(8)
		sizes := []int{1, 2, 125, 126, 4 << 10, 64 << 10, 64<<10 + 1, limit}
		writing := start(func() error {
			if _, err := writer.Write(data[:10]); err != nil {
				return err
			}
			var several [][]byte
			for _, size := range sizes {
				several = append(several, data[:size])
			}
			if err := writer.WriteMessages(several...); err != nil {
				return err
			}
			return writer.WriteMessages(data[:limit+1])
		})
		reading := start(func() error {
			if size, err := reader.NextMessage(limit); size != 10 || err != nil {
				return fmt.Errorf("a message of %d bytes, %w, want 10", size, err)
			}
			if n, err := reader.Read(make([]byte, 3)); n == 0 || err != nil {
				return fmt.Errorf("read of %d bytes, %w", n, err)
			} // the rest is dropped
			for _, want := range sizes {
				size, err := reader.NextMessage(limit)
				if size != want || err != nil {
					return fmt.Errorf("a message of %d bytes, %w, want %d", size, err, want)
				}
				got, err := io.ReadAll(reader)
				if err != nil || !bytes.Equal(got, data[:want]) {
					return fmt.Errorf("read of %d bytes, %w, want the %d that were written", len(got), err, want)
				}
			}
			if size, err := reader.NextMessage(limit); !errors.Is(err, carrier.ErrMessageSize) {
				return fmt.Errorf("an oversized message of %d bytes, %w, want carrier.ErrMessageSize", size, err)
			}
			if _, err := reader.NextMessage(limit); !errors.Is(err, carrier.ErrMessageSize) {
				return fmt.Errorf("after an oversized message: %w, want the same again", err)
			}
			return nil
		})
		if err := receive(t, "NextMessage", reading); err != nil {
			t.Error(err)
		}
		peer.Close() // nobody reads the rest of the last message
		receive(t, "WriteMessages", writing)
		if _, err := reader.NextMessage(limit); !errors.Is(err, net.ErrClosed) {
			t.Errorf("NextMessage after Close: %v, want net.ErrClosed", err)
		}
	})
	endsMessages(t, target, func(t *testing.T, end carrier.Conn, last []byte) {
		if err := messageConn(t, end).WriteMessages(last); err != nil {
			t.Fatalf("WriteMessages: %v", err)
		}
		if err := closeWriter(t, end).CloseWrite(); err != nil {
			t.Fatalf("CloseWrite: %v", err)
		}
	})
	endsMessages(t, target, func(t *testing.T, end carrier.Conn, last []byte) {
		if err := messageConn(t, end).WriteLast(last); err != nil {
			t.Fatalf("WriteLast: %v", err)
		}
	})
}

// endsMessages has write send a message of 4 bytes, which must be the last.
func endsMessages(t *testing.T, target Target, write func(t *testing.T, end carrier.Conn, last []byte)) {
	eachWay(t, target, func(t *testing.T, end, peer carrier.Conn) {
		write(t, end, []byte("last"))
		reading := start(func() error {
			if size, err := messageConn(t, peer).NextMessage(4); size != 4 || err != nil {
				return fmt.Errorf("a message of %d bytes, %w, want 4", size, err)
			}
			for range 2 {
				if size, err := messageConn(t, peer).NextMessage(4); size != 0 || err != io.EOF {
					return fmt.Errorf("after the last message: a message of %d bytes, %w, want io.EOF", size, err)
				}
			}
			return nil
		})
		if err := receive(t, "NextMessage", reading); err != nil {
			t.Error(err)
		}
	})
}

// messageConn returns conn as a MessageConn, or skips t.
func messageConn(t *testing.T, conn carrier.Conn) carrier.MessageConn {
	t.Helper()
	messages, ok := conn.(carrier.MessageConn)
	if !ok {
		t.Skip("not a MessageConn")
	}
	return messages
}
