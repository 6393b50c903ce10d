package ws

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A capture keeps what is written to it, and counts the writes.
type capture struct {
	net.Conn // nil: not used
	bytes.Buffer
	writes int
}

func (c *capture) Read(p []byte) (int, error) { return c.Buffer.Read(p) }

func (c *capture) Write(p []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(p)
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors uses the frames of RFC 6455, section 5.7.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		name, wire string
		want       header
		size       int // of the header
		payload    string
	}{
		{"single unmasked text", "81 05 48 65 6c 6c 6f", header{op: opText, fin: true, length: 5}, 2, "Hello"},
		{"single masked text", "81 85 37 fa 21 3d 7f 9f 4d 51 58",
			header{op: opText, fin: true, masked: true, key: 0x3d21fa37, length: 5}, 6, "Hello"},
		{"first fragment", "01 03 48 65 6c", header{op: opText, length: 3}, 2, "Hel"},
		{"last fragment", "80 02 6c 6f", header{op: opContinuation, fin: true, length: 2}, 2, "lo"},
		{"ping", "89 05 48 65 6c 6c 6f", header{op: opPing, fin: true, length: 5}, 2, "Hello"},
		{"masked pong", "8a 85 37 fa 21 3d 7f 9f 4d 51 58",
			header{op: opPong, fin: true, masked: true, key: 0x3d21fa37, length: 5}, 6, "Hello"},
		{"256 bytes", "82 7e 01 00", header{op: opBinary, fin: true, length: 256}, 4, ""},
		{"64 KiB", "82 7f 00 00 00 00 00 01 00 00", header{op: opBinary, fin: true, length: 1 << 16}, 10, ""},
	} {
		wire := unhex(t, v.wire)
		if err := checkStart(wire[0], wire[1]); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		if size := headerSize(wire[1]); size != v.size {
			t.Errorf("%s: header of %d bytes, want %d", v.name, size, v.size)
		}
		h, err := parseHeader(wire[:v.size])
		if h != v.want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", v.name, h, err, v.want)
		}
		payload := wire[v.size:]
		if h.masked {
			mask(payload, payload, h.key)
		}
		if string(payload) != v.payload {
			t.Errorf("%s: payload %q, want %q", v.name, payload, v.payload)
		}
		if got := appendHeader(nil, h); !bytes.Equal(got, unhex(t, v.wire)[:v.size]) {
			t.Errorf("%s: is written as % x", v.name, got)
		}
	}
}

// TestHeaderLengths uses lengths at the limits of their encodings.
func TestHeaderLengths(t *testing.T) {
	for length, size := range map[int64]int{
		0: 2, 1: 2, 125: 2, 126: 4, 127: 4, 1<<16 - 1: 4, 1 << 16: 10, 1<<32 + 1: 10, math.MaxInt64: 10,
	} {
		for _, masked := range []bool{false, true} {
			want := header{op: opBinary, fin: true, masked: masked, length: length}
			if masked {
				want.key, size = 0x04030201, size+4
			}
			b := appendHeader(nil, want)
			if len(b) != size || headerSize(b[1]) != size {
				t.Errorf("length %d: header % x, want %d bytes", length, b, size)
			}
			if h, err := parseHeader(b); h != want || err != nil {
				t.Errorf("% x: %+v, %v, want %+v", b, h, err, want)
			}
		}
	}
}

func TestHeaderLengthsRefused(t *testing.T) {
	for _, wire := range []string{
		"82 7e 00 00", "82 7e 00 7d", // 125 fits into less
		"82 7f 00 00 00 00 00 00 00 00", "82 7f 00 00 00 00 00 00 ff ff",
		"82 7f 80 00 00 00 00 00 00 00", "82 7f ff ff ff ff ff ff ff ff",
	} {
		h, err := parseHeader(unhex(t, wire))
		if refusal, ok := errors.AsType[*refusal](err); !ok || refusal.status != websocket.CloseProtocolError {
			t.Errorf("%s: %+v, %v, want a refusal with status 1002", wire, h, err)
		}
	}
}

func TestClosePayload(t *testing.T) {
	long := strings.Repeat("é", 100)
	if got := appendClose(nil, 1002, long); len(got) != maxControl-1 {
		t.Errorf("a long reason makes a payload of %d bytes, want %d", len(got), maxControl-1)
	} else if _, _, err := parseClose(got); err != nil {
		t.Errorf("a long reason is cut to what is refused: %v", err)
	}
	if got := appendClose(nil, websocket.CloseNoStatusReceived, ""); len(got) != 0 {
		t.Errorf("no status is written as % x", got)
	}
	if status, reason, err := parseClose(appendClose(nil, 1011, "oh")); status != 1011 || reason != "oh" || err != nil {
		t.Errorf("got %d %q, %v", status, reason, err)
	}
}
