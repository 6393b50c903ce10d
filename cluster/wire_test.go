package cluster

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/backdial/backdial/fleet"
)

// TestQuestion reads what was written, and no byte more.
func TestQuestion(t *testing.T) {
	for _, id := range []string{"x", strings.Repeat("x", 128), "a.b"} {
		r := bytes.NewReader(append(appendQuestion(nil, id), "rest"...))
		got, err := readQuestion(iotest.OneByteReader(r))
		if rest, _ := io.ReadAll(r); err != nil || got != id || string(rest) != "rest" {
			t.Errorf("question for %q: %q, %v, and then %q", id, got, err, rest)
		}
	}
	later := []byte{0, 6, questionDial, 0, 1, 'x', 'm', 'r'} // of a later version
	if got, err := readQuestion(bytes.NewReader(later)); err != nil || got != "x" {
		t.Errorf("%q, %v, want the ID", got, err)
	}
}

// TestBadQuestion reads invalid questions.
func TestBadQuestion(t *testing.T) {
	long := appendQuestion(nil, strings.Repeat("x", 129))
	for name, bad := range map[string]struct {
		frame string
		want  error // or any
	}{
		"nothing":                 {"", io.EOF},
		"half a head":             {"\x00", io.ErrUnexpectedEOF},
		"half a frame":            {"\x00\x04\x01\x00", io.ErrUnexpectedEOF},
		"empty":                   {"\x00\x00", errFrame},
		"no length":               {"\x00\x01\x01", errFrame},
		"half a length":           {"\x00\x02\x01\x00", errFrame},
		"longer than the frame":   {"\x00\x04\x01\x00\x02x", errFrame},
		"much longer":             {"\x00\x04\x01\xff\xffx", errFrame},
		"another kind":            {"\x00\x04\x02\x00\x01x", errFrame},
		"no ID":                   {"\x00\x03\x01\x00\x00", nil},
		"an ID that is too long":  {string(long), nil},
		"an invalid ID":           {"\x00\x04\x01\x00\x01\n", fleet.ErrInvalidID},
		"a frame that is too big": {"\x10\x01" + strings.Repeat("x", 4097), errFrame},
		"the biggest":             {"\xff\xff" + strings.Repeat("x", 65535), errFrame},
	} {
		id, err := readQuestion(strings.NewReader(bad.frame))
		if err == nil || bad.want != nil && !errors.Is(err, bad.want) {
			t.Errorf("%s: %q, %v, want the error %v", name, id, err, bad.want)
		}
	}
}

// TestAnswer reads what was written, and no byte more.
func TestAnswer(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"because":                "because",
		strings.Repeat("x", 600): strings.Repeat("x", maxAnswer-1),
	} {
		r := bytes.NewReader(append(appendAnswer(nil, answerFailed, text), "rest"...))
		kind, got, err := readAnswer(iotest.OneByteReader(r))
		if rest, _ := io.ReadAll(r); err != nil || kind != answerFailed || got != want || string(rest) != "rest" {
			t.Errorf("answer %.10q: %d, %.10q, %v, and then %q", text, kind, got, err, rest)
		}
	}
	for _, bad := range []string{"", "\x00", "\x00\x00", "\x00\x02\x02", "\x02\x01" + strings.Repeat("x", 513)} {
		if kind, text, err := readAnswer(strings.NewReader(bad)); err == nil {
			t.Errorf("%.10q: read %d, %q", bad, kind, text)
		}
	}
}

// FuzzQuestion expects questions to be read as they were written, and others to be refused.
func FuzzQuestion(f *testing.F) {
	f.Add(appendQuestion(nil, "x"))
	f.Add([]byte{0, 6, 1, 0, 1, 'x', 'm', 'r'})
	f.Add([]byte{0xff, 0xff, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		id, err := readQuestion(r)
		if err != nil {
			return
		}
		if fleet.CheckID(id) != nil {
			t.Fatalf("an ID of %d bytes", len(id))
		}
		frame := b[:len(b)-r.Len()]
		if again := appendQuestion(nil, id); len(frame) == len(again) && !bytes.Equal(frame, again) || len(frame) < len(again) {
			t.Fatalf("%x was read as %q, which is %x", frame, id, again)
		}
	})
}

// FuzzAnswer expects answers to be read as they were written.
func FuzzAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, answerOpen, ""))
	f.Add(appendAnswer(nil, answerFailed, "because"))
	f.Add([]byte{2, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		kind, text, err := readAnswer(r)
		if err != nil {
			return
		}
		if again := appendAnswer(nil, kind, text); !bytes.Equal(b[:len(b)-r.Len()], again) {
			t.Fatalf("%x was read as %x", b, again)
		}
	})
}
