package nativemux_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
)

// says returns a control message.
func says(values ...uint64) (b []byte) {
	for _, v := range values {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// TestPeersThatDoNotCount uses two clients. The first says hello and answers pings, as
// this package did before it counted bytes; the second says nothing. Each gets more than
// any window, and must get no message that it does not know.
func TestPeersThatDoNotCount(t *testing.T) {
	long.Only(t)
	for name, hello := range map[string][]byte{"with hello": says(0, 256), "without": nil} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s, client := plainClient(t, mux.Config{KeepAlive: 2 * time.Second})
			go echo(client)
			if hello != nil {
				if _, err := client.Write(hello); err != nil {
					t.Fatal("write:", err)
				}
				go answerPings(t, client)
			}
			const size = 80 << 20 // more than a session holds
			st, err := s.Open(t.Context())
			if err != nil {
				t.Fatal("open:", err)
			}
			defer st.Close()
			go func() {
				st.Write(make([]byte, size))
				st.CloseWrite()
			}()
			if n, err := io.Copy(io.Discard, st); n != size || err != nil {
				t.Errorf("%d bytes came back, %v", n, err)
			}
		})
	}
}

// answerPings answers pings, and fails the test at a message that old peers do not know.
func answerPings(t *testing.T, conn carrier.Conn) {
	r := byteReader{conn}
	for {
		kind, err := binary.ReadUvarint(r)
		if err != nil {
			return
		}
		switch kind {
		case 0, 1, 2: // hello, accepted, ping
			value, _ := binary.ReadUvarint(r)
			if kind == 2 {
				conn.Write(says(3, value))
			}
		case 5, 6: // the session is closed
			return
		default:
			t.Errorf("hears a message of kind %d", kind)
			return
		}
	}
}

// TestServerThatDoesNotCount uses a server that only says hello, and then pings.
func TestServerThatDoesNotCount(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	server, conn, _ := connection(t)
	s, err := nativemux.New().ListenSide(conn, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := byteReader{server}
	first := make([]byte, len(says(0, 256, 2, 1<<63)))
	if _, err := io.ReadFull(r, first); err != nil || !bytes.Equal(first, says(0, 256, 2, 1<<63)) {
		t.Fatalf("a client begins with %v, %v", first, err)
	}
	server.Write(says(0, 256, 3, 1<<63, 2, 1))
	opened, err := server.(carrier.StreamConn).OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	const size = 80 << 20
	go st.Write(make([]byte, size))
	if n, err := io.CopyN(io.Discard, opened, size); err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	for kind := uint64(0); kind != 3; { // it says that it has accepted a stream, and pings, too
		var n uint64
		kind, err = binary.ReadUvarint(r)
		if err == nil {
			n, err = binary.ReadUvarint(r)
		}
		if err != nil || kind > 3 || kind == 3 && n != 1 {
			t.Fatalf("a ping is answered with %d %d, %v", kind, n, err)
		}
	}
}

// A byteReader reads a byte at a time.
type byteReader struct{ io.Reader }

func (r byteReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r, b[:])
	return b[0], err
}
