package qmux

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/backdial/backdial/mux"
)

// unhex returns the bytes in s, which may contain spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parse parses b as the only frame of a record.
func parse(b []byte) (f frame, payload []byte, err error) {
	f, n, err := draft02.parseFrame(b[:min(len(b), maxHeader)], len(b))
	if err != nil {
		return f, nil, err
	}
	return f, b[n:], nil
}

// wantCode expects err to be a violation with a transport error code.
func wantCode(t *testing.T, err error, code uint64) {
	t.Helper()
	if e, ok := errors.AsType[*ConnectionError](err); !ok || e.Code != code || e.Remote || e.Application {
		t.Errorf("error %v, want %s", err, codeNames[code])
	}
}

// TestFrameVectors parses frames of @moq/qmux 0.3.3.
func TestFrameVectors(t *testing.T) {
	for _, test := range []struct {
		name, wire, payload string
		want                frame
		other               bool // we write it differently
	}{
		{"STREAM", "0e 01 00 02 6869", "hi", frame{typ: frameStream, id: 1, length: 2}, true},
		{"FIN", "0f 01 02 00", "", frame{typ: frameStream, id: 1, offset: 2, fin: true}, false},
		{"RESET_STREAM", "04 01 1a 02", "", frame{typ: frameResetStream, id: 1, code: 26, offset: 2}, false},
		{"STOP_SENDING", "05 01 21", "", frame{typ: frameStopSending, id: 1, code: 33}, false},
		{"MAX_DATA", "10 80180000", "", frame{typ: frameMaxData, max: 0x180000}, false},
		{"MAX_STREAM_DATA", "11 01 80060000", "", frame{typ: frameMaxStreamData, id: 1, max: 0x60000}, false},
		{"MAX_STREAMS", "12 4096", "", frame{typ: frameMaxStreamsBidi, max: 150}, false},
		{"PING", "f48c67529ef8c7bd 00", "", frame{typ: framePing}, false},
		{"PONG", "f48c67529ef8c7be 00", "", frame{typ: framePong}, false},
		{"application close", "1d 4063 03 627965", "bye", frame{typ: frameCloseApplication, code: 99, length: 3}, false},
		{"transport close", "1c 43ea 00 01 78", "x", frame{typ: frameClose, code: 1002, length: 1}, false},

		// Forms that it accepts, and other implementations use.
		{"STREAM to the end of its record", "08 01 6869", "hi", frame{typ: frameStream, id: 1, length: 2}, true},
		{"STREAM with an offset to the end", "0d 01 02 6869", "hi", frame{typ: frameStream, id: 1, offset: 2, length: 2, fin: true}, true},
		{"STREAM as we write it", "0a 01 02 6869", "hi", frame{typ: frameStream, id: 1, length: 2}, false},
		{"PADDING", "00 00 00", "", frame{typ: framePadding}, true},
		{"BLOCKED", "14 05", "", frame{typ: frameDataBlocked, max: 5}, false},
		{"STREAM_DATA_BLOCKED", "15 01 05", "", frame{typ: frameStreamDataBlocked, id: 1, max: 5}, false},
		{"MAX_STREAMS uni, most", "13 d000000000000000", "", frame{typ: frameMaxStreamsUni, max: 1 << 60}, false},
		{"accepted", "9bacd1a2 4100", "", frame{typ: frameAccepted, max: 256}, false},
		{"message", "9bacd1a3 02 6869", "hi", frame{typ: frameMessage, length: 2}, false},
		{"leaving", "9bacd1a4", "", frame{typ: frameLeaving}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			wire := unhex(t, test.wire)
			got, payload, err := parse(wire)
			if err != nil || got != test.want || string(payload) != test.payload {
				t.Errorf("parsed %+v and %q, %v, want %+v and %q", got, payload, err, test.want, test.payload)
			}
			if written := append(test.want.append(nil), test.payload...); !test.other && !bytes.Equal(written, wire) {
				t.Errorf("wrote % x, want % x", written, wire)
			}
			if toEnd := test.want.typ == frameStream && wire[0]&byte(bitLen) == 0; toEnd || test.want.typ == framePadding {
				return // of any length
			}
			for n := range wire { // cut at each byte
				_, _, err := parse(wire[:n])
				wantCode(t, err, frameEncodingError)
			}
		})
	}
}

func TestFrameViolations(t *testing.T) {
	for _, test := range []struct {
		name, wire string
		code       uint64
	}{
		{"PING of QUIC", "01", frameEncodingError},
		{"ACK", "02 00 00 00 00", frameEncodingError},
		{"CRYPTO", "06 00 00", frameEncodingError},
		{"NEW_TOKEN", "07 00", frameEncodingError},
		{"NEW_CONNECTION_ID", "18 00 00", frameEncodingError},
		{"PATH_CHALLENGE", "1a 0000000000000000", frameEncodingError},
		{"HANDSHAKE_DONE", "1e", frameEncodingError},
		{"RESET_STREAM_AT, which we do not offer", "24 01 00 00 00", frameEncodingError},
		{"unknown", "ffffffffffffffff", frameEncodingError},
		{"parameters of another draft", "ff514d580d0a0d0a 00", frameEncodingError},
		{"DATAGRAM", "30 6869", protocolViolation},
		{"DATAGRAM with a length", "31 02 6869", protocolViolation},
		{"type that is not in its shortest form", "4008 01", protocolViolation},
		{"data beyond 2^62", "0e 01 ffffffffffffffff 01 78", frameEncodingError},
		{"more than 2^60 streams", "12 d000000000000001", frameEncodingError},
		{"blocked by more than 2^60 streams", "16 d000000000000001", frameEncodingError},
		{"longer than its record", "0a 01 03 6869", frameEncodingError},
		{"reason longer than its record", "1d 00 01", frameEncodingError},
		{"length of 2^62-1", "0a 01 ffffffffffffffff", frameEncodingError},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := parse(unhex(t, test.wire))
			wantCode(t, err, test.code)
		})
	}
}

func TestVarint(t *testing.T) {
	for _, test := range []struct {
		v    uint64
		wire string
	}{
		{0, "00"}, {37, "25"}, {63, "3f"},
		{64, "4040"}, {15293, "7bbd"}, {16383, "7fff"},
		{16384, "80004000"}, {494878333, "9d7f3e7d"}, {1<<30 - 1, "bfffffff"},
		{1 << 30, "c000000040000000"}, {151288809941952652, "c2197c5eff14e88c"}, {maxVarint, "ffffffffffffffff"},
	} {
		wire := unhex(t, test.wire)
		if got := appendVarint(nil, test.v); !bytes.Equal(got, wire) || len(got) != varintLen(test.v) {
			t.Errorf("%d: wrote % x, varintLen %d, want % x", test.v, got, varintLen(test.v), wire)
		}
		if v, n := consumeVarint(append(wire, 0xff)); v != test.v || n != len(wire) {
			t.Errorf("% x: read %d of %d bytes, want %d", wire, v, n, test.v)
		}
		for n := range wire {
			if v, n := consumeVarint(wire[:n]); n != 0 {
				t.Errorf("% x: read %d of %d bytes, want nothing", wire[:n], v, n)
			}
		}
	}
	for _, wire := range []string{"25", "4025", "80000025", "c000000000000025"} { // every width
		if v, n := consumeVarint(unhex(t, wire)); v != 37 || n != len(wire)/2 {
			t.Errorf("%s: read %d of %d bytes, want 37", wire, v, n)
		}
	}
	size := make([]byte, sizeLen)
	putSize(size, 37)
	if v, n := consumeVarint(size); v != 37 || n != sizeLen {
		t.Errorf("Size % x: read %d of %d bytes, want 37", size, v, n)
	}
}

// TestParameterVectors parses what @moq/qmux 0.3.3 sends when a session begins.
func TestParameterVectors(t *testing.T) {
	for _, test := range []struct {
		name, wire string
		want       parameters
	}{
		{
			"default", "ff5153300d0a0d0a 37 01048000 7530 0404 80100000 0504 80040000 0604 80040000 0704 80040000" +
				"080240 64 090240 64 20027ffe c571c59429cd0845 02 7ffe 1d00",
			parameters{30000, 1 << 20, 256 << 10, 256 << 10, 256 << 10, 100, 100, 16382, 0},
		},
		{"empty", "ff5153300d0a0d0a 0b c571c59429cd0845 02 7ffe", parameters{maxRecordSize: 16382}},
		{"none", "ff5153300d0a0d0a 00", parameters{maxRecordSize: 16382}},
		{"grease, twice", "ff5153300d0a0d0a 05 1b00 1b01ff", parameters{maxRecordSize: 16382}},
		{"ours", "ff5153300d0a0d0a 07 9bacd1a1 02 4100", parameters{maxRecordSize: 16382, backlog: 256}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, payload, err := parse(unhex(t, test.wire))
			if err != nil || f.typ != draft02.parameters {
				t.Fatalf("frame %+v, %v", f, err)
			}
			got, err := draft02.parseParameters(payload[:f.length])
			if err != nil || *got != test.want {
				t.Errorf("parsed %+v, %v, want %+v", got, err, test.want)
			}
			if again, err := draft02.parseParameters(test.want.append(nil)); err != nil || *again != test.want {
				t.Errorf("written and parsed %+v, %v, want %+v", again, err, test.want)
			}
		})
	}
	// The one that we write as it does, but for what we leave out.
	want := unhex(t, "01048000 7530 0404 80100000 0504 80040000 0604 80040000 0704 80040000 080240 64 090240 64")
	p := parameters{30000, 1 << 20, 256 << 10, 256 << 10, 256 << 10, 100, 100, 16382, 0}
	if got := p.append(nil); !bytes.Equal(got, want) {
		t.Errorf("wrote % x, want % x", got, want)
	}
}

func TestParameterViolations(t *testing.T) {
	for name, wire := range map[string]string{
		"original_destination_connection_id": "00 00",
		"stateless_reset_token":              "02 00",
		"max_udp_payload_size":               "03 02 45dc",
		"ack_delay_exponent":                 "0a 01 03",
		"retry_source_connection_id":         "10 00",
		"twice":                              "04 01 05 04 01 05",
		"no value":                           "04 00",
		"value longer than its length says":  "04 01 80100000",
		"value shorter than its length says": "04 04 05000000",
		"cut in the id":                      "c571c594",
		"cut in the length":                  "04",
		"cut in the value":                   "04 04 8010",
		"2^60+1 streams":                     "08 08 d000000000000001",
		"max_record_size 16381":              "c571c59429cd0845 02 7ffd",
		"no backlog":                         "9bacd1a1 01 00",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := draft02.parseParameters(unhex(t, wire))
			wantCode(t, err, transportParameterError)
		})
	}
}

// FuzzFrame parses frames as records contain them, and writes what it understood.
func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		"0e0100026869", "0f010200", "04011a02", "050121", "1080180000", "110180060000", "124096", "f48c67529ef8c7bd00",
		"1d406303627965", "1c43ea000178", "0801", "000000", "9bacd1a34100", "ff5153300d0a0d0a00", "0e01ffffffffffffffff0178",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		for rest := record; len(rest) > 0; {
			got, payload, err := parse(rest)
			if err != nil {
				if !errors.Is(err, mux.ErrProtocol) {
					t.Errorf("error %v, want mux.ErrProtocol", err)
				}
				return
			}
			if len(payload) == len(rest) || got.length > len(payload) || got.offset > math.MaxUint64>>2 {
				t.Fatalf("frame %+v with %d bytes of payload, of %d bytes", got, len(payload), len(rest))
			}
			again, data, err := parse(append(got.append(nil), payload[:got.length]...))
			if err != nil || again != got || !bytes.Equal(data, payload[:got.length]) {
				t.Fatalf("written and parsed: %+v, %v, want %+v", again, err, got)
			}
			rest = payload[got.length:]
		}
	})
}

// FuzzParameters parses parameters, and writes what it understood.
func FuzzParameters(f *testing.F) {
	for _, seed := range []string{"", "0404801000001d00", "c571c59429cd0845027ffe", "9bacd1a1024100", "04010504010500"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := draft02.parseParameters(b)
		if err != nil {
			return
		}
		again, err := draft02.parseParameters(p.append(nil))
		if err != nil || *again != *p {
			t.Errorf("written and parsed: %+v, %v, want %+v", again, err, p)
		}
	})
}
