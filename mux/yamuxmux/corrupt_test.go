package yamuxmux_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// TestCorruptLength flips a bit on the way, which only TLS would notice: the rest of the
// session then looks like part of one frame. The pings in it must not keep the session
// alive.
func TestCorruptLength(t *testing.T) {
	synctest.Test(t, corruptsLength)
}

func corruptsLength(t *testing.T) {
	server, left := net.Pipe()
	right, client := net.Pipe()
	defer left.Close()
	defer right.Close()
	go io.Copy(right, left)
	go corruptLength(left, right)

	config := mux.Config{KeepAlive: 15 * time.Second, Linger: -1}
	dial, err := yamuxmux.New().DialSide(server, config)
	if err != nil {
		t.Fatal(err)
	}
	defer dial.Close()
	time.Sleep(config.KeepAlive / 2) // so that each end is heard in the middle of the other's patience
	listen, err := yamuxmux.New().ListenSide(client, config)
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	st, err := dial.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listen.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(accepted, "hello") // the server waits for much more
	select {
	case <-dial.Context().Done():
	case <-listen.Context().Done():
	case <-time.After(20 * config.KeepAlive):
		t.Error("the session goes on although nothing gets through")
	}
	st.Close()
}

// corruptLength copies what the client sends, but adds 16 KiB to the length of its first
// data frame.
func corruptLength(to io.Writer, from net.Conn) {
	const header = 12
	var frame [header]byte
	for {
		if _, err := io.ReadFull(from, frame[:]); err != nil {
			return
		}
		length := int(frame[10])<<8 | int(frame[11])
		if data := frame[1] == 0 && length > 0; data {
			frame[10] |= 0x40
			to.Write(frame[:])
			io.Copy(to, from)
			return
		}
		to.Write(frame[:])
	}
}
