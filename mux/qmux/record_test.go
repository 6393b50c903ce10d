package qmux

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/backdial/backdial/carrier"
)

// A tape is a connection that is only read.
type tape struct {
	net.Conn
	io.Reader
}

func (c tape) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// A deck is a tape of messages.
type deck struct {
	carrier.MessageConn
	messages [][]byte
	rest     []byte
}

func (d *deck) NextMessage(limit int) (int, error) {
	if len(d.messages) == 0 {
		return 0, io.EOF
	}
	d.rest, d.messages = d.messages[0], d.messages[1:]
	if len(d.rest) > limit {
		return 0, carrier.ErrMessageSize
	}
	return len(d.rest), nil
}

func (d *deck) Read(p []byte) (int, error) {
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A heardFrame is a frame with what follows its fields.
type heardFrame struct {
	frame
	payload string
}

// readFrames reads frames until there is an error.
func readFrames(conn net.Conn) (frames []heardFrame, err error) {
	r := newRecordReader(newRecordConn(conn), func(int) {})
	for {
		if err := r.next(); err != nil {
			return frames, err
		}
		for r.left > 0 {
			header, err := r.peek(maxHeader)
			if err != nil {
				return frames, err
			}
			f, n, err := draft02.parseFrame(header, r.left)
			if err != nil {
				return frames, err
			}
			r.skip(n)
			payload := make([]byte, f.length)
			if _, err := io.ReadFull(r, payload); err != nil {
				return frames, err
			}
			frames = append(frames, heardFrame{f, string(payload)})
		}
		r.done()
	}
}

// parseFrames is readFrames on a slice.
func parseFrames(b []byte) (frames []heardFrame) {
	for len(b) > 0 {
		size, n := consumeVarint(b)
		if n == 0 || size > maxRecordSize {
			return frames
		}
		left := int(size)
		for b = b[n:]; left > 0; {
			if len(b) < min(left, maxHeader) {
				return frames
			}
			f, n, err := draft02.parseFrame(b[:min(left, maxHeader)], left)
			if err != nil || len(b) < n+f.length {
				return frames
			}
			frames = append(frames, heardFrame{f, string(b[n : n+f.length])})
			b, left = b[n+f.length:], left-n-f.length
		}
	}
	return frames
}

// FuzzRecords reads records from a connection, in pieces of several sizes, and expects
// the frames that are in them.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{})
	f.Add(unhex(f, "07 0e01000268690000"))
	f.Add(unhex(f, "00 80000005 0801686900 4001 00 c000000000000003 050121"))
	f.Add(unhex(f, "0b ff5153300d0a0d0a 02 0404 80100000"))
	f.Add(unhex(f, "80010c01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		want := parseFrames(b)
		for _, reader := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b))} {
			got, err := readFrames(tape{Reader: reader})
			if !slices.Equal(got, want) {
				t.Errorf("read %v, want %v", got, want)
			}
			if err == nil {
				t.Error("no error at the end")
			}
		}
	})
}

// TestBatch lays out frames of all sizes as records, and reads them.
func TestBatch(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 0))
		for _, sized := range []bool{true, false} {
			b := newBatch(sized)
			b.limit = minRecordSize + r.IntN(sendRecordSize-minRecordSize)
			var want []heardFrame
			st := new(stream)
			for range r.IntN(50) {
				payload := make([]byte, r.IntN(1<<r.IntN(14)))
				switch r.IntN(4) {
				case 0:
					f := frame{typ: frameMaxData, max: r.Uint64N(1 << 62)}
					b.frame(f, nil)
					want = append(want, heardFrame{f, ""})
				case 1:
					payload := payload[:min(len(payload), 1024)]
					b.frame(frame{typ: frameMessage}, payload)
					want = append(want, heardFrame{frame{typ: frameMessage, length: len(payload)}, string(payload)})
				default:
					f := frame{typ: frameStream, id: r.Uint64N(1 << 62), offset: r.Uint64N(1 << 61), length: len(payload)}
					b.data(st, f, payload)
					if f.fin = r.IntN(4) == 0; f.fin && (b.finish(new(stream)) || !b.finish(st)) {
						t.Error("the last frame is of another stream")
					}
					want = append(want, heardFrame{f, string(payload)})
				}
			}
			b.seal()
			var conn net.Conn = tape{Reader: bytes.NewReader(b.buf)}
			if !sized {
				records := b.split()
				conn = &deck{messages: records}
				for _, record := range records {
					if len(record) > b.limit {
						t.Errorf("record of %d bytes, where %d are allowed", len(record), b.limit)
					}
				}
			}
			if got, err := readFrames(conn); err != io.EOF || !slices.Equal(got, want) {
				t.Errorf("seed %d: %d frames, %v, want %d", seed, len(got), err, len(want))
			}
			b.Release()
		}
	}
}

// TestMessageTooLarge sends a message that is too large for a record.
func TestMessageTooLarge(t *testing.T) {
	_, err := readFrames(&deck{messages: [][]byte{make([]byte, maxRecordSize), make([]byte, maxRecordSize+1)}})
	wantCode(t, err, frameEncodingError)
}
