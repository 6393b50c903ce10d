package transport

import (
	"bytes"
	"math"
	"testing"
	"time"
)

// TestControlMessages expects each message to be as the package documentation says.
func TestControlMessages(t *testing.T) {
	for _, test := range []struct {
		message controlMessage
		wire    []byte
	}{
		{controlMessage{kind: controlMove}, []byte{1, 0}},
		{controlMessage{kind: controlMove, delay: 300 * time.Millisecond}, []byte{1, 0xac, 0x02}},
		{controlMessage{kind: controlMoved}, []byte{2}},
		{controlMessage{kind: controlStaying}, []byte{3}},
		{controlMessage{kind: controlLeaving}, []byte{4}},
		{controlMessage{kind: controlClosing, text: "ok"}, []byte{5, 2, 'o', 'k'}},
		{controlMessage{kind: controlServer, text: "r-1"}, []byte{6, 3, 'r', '-', '1'}},
		{controlMessage{kind: controlFailed}, []byte{7}},
		{controlMessage{kind: controlEnding, text: "kicked"}, []byte{8, 6, 'k', 'i', 'c', 'k', 'e', 'd'}},
	} {
		if got := test.message.encode(); !bytes.Equal(got, test.wire) {
			t.Errorf("%+v is %x, want %x", test.message, got, test.wire)
		}
		later := append(test.wire, "what a later version adds"...)
		for _, wire := range [][]byte{test.wire, later} {
			if got, ok := decodeControl(wire); !ok || got != test.message {
				t.Errorf("%x is %+v, %v, want %+v", wire, got, ok, test.message)
			}
		}
	}
	long := append([]byte{6, 0x81, 0x01}, bytes.Repeat([]byte("x"), 129)...)
	for _, unknown := range [][]byte{
		nil, {0}, {0x80}, {1}, {1, 0x80}, {5}, {5, 2, 'o'}, {8}, {8, 2, 'o'}, bytes.Repeat([]byte{0xff}, 20),
		{6}, {6, 0}, {6, 2, 'o'}, {6, 1, ','}, {6, 2, '.', 'a'}, long, // which are no ID
	} {
		if got, ok := decodeControl(unknown); ok {
			t.Errorf("%x is %+v, want to be ignored", unknown, got)
		}
	}
}

func FuzzControlMessage(f *testing.F) {
	for _, m := range []controlMessage{
		{kind: controlMove, delay: time.Hour},
		{kind: controlMove, delay: math.MaxInt64},
		{kind: controlMoved},
		{kind: controlStaying},
		{kind: controlLeaving},
		{kind: controlClosing, text: "replaced"},
		{kind: controlServer, text: "replica-1"},
		{kind: controlEnding, text: "too_old"},
	} {
		f.Add(m.encode())
	}
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := decodeControl(b)
		if !ok {
			return
		}
		if m.delay < 0 {
			t.Errorf("%x has a delay of %v", b, m.delay)
		}
		if again, ok := decodeControl(m.encode()); !ok || again != m {
			t.Errorf("%x is %+v, and that is %+v", b, m, again)
		}
	})
}

// In TestControlIsBounded a peer sends before anybody listens, and for ever.
func TestControlIsBounded(t *testing.T) {
	var c control
	for range 1000 {
		c.receive([]byte{controlMoved})
		c.receive([]byte("nonsense"))
	}
	heard := 0
	c.listen(func(controlMessage) { heard++ })
	if heard != maxEarly {
		t.Errorf("heard %d messages, want the first %d", heard, maxEarly)
	}
	c.receive([]byte{controlStaying})
	if heard != maxEarly+1 {
		t.Errorf("heard %d messages, want another", heard)
	}
}
