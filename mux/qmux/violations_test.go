package qmux

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
)

// TestGreetingViolations uses sessions that begin wrongly.
func TestGreetingViolations(t *testing.T) {
	record := func(frames ...[]byte) []byte {
		b := slices.Concat(frames...)
		return append(appendVarint(nil, uint64(len(b))), b...)
	}
	own := parametersFrame(greetings())
	for _, test := range []struct {
		name  string
		input []byte
		code  uint64
	}{
		{"first frame is PADDING", record([]byte{0}, own), protocolViolation},
		{"first frame is STREAM", record(streamFrame(0, 0, []byte("x")), own), protocolViolation},
		{"first frame is QX_PING", record(encode(frame{typ: framePing, seq: 1})), protocolViolation},
		{"parameters of another draft", record(unhex(t, "ff514d580d0a0d0a 00")), protocolViolation},
		{"another protocol", []byte("GET / HTTP/1.1\r\n\r\n"), protocolViolation},
		{"no Size", own, frameEncodingError},
		{"parameters twice", record(own, own), protocolViolation},
		{"parameters twice, in another record", record(own, record(own)[1:]), protocolViolation},
		{"duplicate parameter", record(unhex(t, "ff5153300d0a0d0a 06 040105 040105")), transportParameterError},
		{"prohibited parameter", record(unhex(t, "ff5153300d0a0d0a 02 0000")), transportParameterError},
		{"parameter that is longer than it says", record(unhex(t, "ff5153300d0a0d0a 06 0401 80100000")), transportParameterError},
		{"max_record_size 16381", record(unhex(t, "ff5153300d0a0d0a 0b c571c59429cd0845 02 7ffd")), transportParameterError},
		{"parameters longer than their record", record(unhex(t, "ff5153300d0a0d0a 05 0401")), frameEncodingError},
		{"record that is too large", appendVarint(nil, maxRecordSize+1), frameEncodingError},
		{"record of 2^62-1 bytes", appendVarint(nil, maxVarint), frameEncodingError},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			s, peer := meetPuppet(t, listenSide, mux.Config{})
			peer.write(test.input)
			peer.hearClose(test.code)
			peer.conn.Close()
			wantViolation(t, cause(t, s), test.code)
		})
	}
}

func wantViolation(t *testing.T, err error, code uint64) {
	t.Helper()
	wantCode(t, err, code)
	if !errors.Is(err, mux.ErrProtocol) || !errors.Is(err, mux.ErrSessionEnded) {
		t.Errorf("cause %v, want mux.ErrProtocol and mux.ErrSessionEnded", err)
	}
}

// TestViolations uses peers that begin well. The session is the listen side, so the
// puppet opens the streams 1, 5, 9, … and has opened 1, with 2 bytes.
func TestViolations(t *testing.T) {
	const window = 256 << 10
	type frames = [][]byte
	full := func() (frames frames) { // the rest of the window of stream 1
		for offset := uint64(2); offset < window; {
			n := min(window-offset, 16<<10)
			frames = append(frames, streamFrame(1, offset, make([]byte, n)))
			offset += n
		}
		return frames
	}
	reset := func(id, code, final uint64) []byte {
		return encode(frame{typ: frameResetStream, id: id, code: code, offset: final})
	}
	stop := func(id uint64) []byte { return encode(frame{typ: frameStopSending, id: id}) }
	maxData := func(id uint64) []byte { return encode(frame{typ: frameMaxStreamData, id: id, max: 1}) }
	for _, test := range []struct {
		name   string
		frames frames // each a record
		code   uint64
	}{
		{"prohibited frame", frames{{0x01}}, frameEncodingError},
		{"unknown frame", frames{unhex(t, "7fff")}, frameEncodingError},
		{"frame longer than its record", frames{{0x05, 0x01}}, frameEncodingError},
		{"datagram", frames{{0x30, 'x'}}, protocolViolation},

		{"gap", frames{streamFrame(1, 3, []byte("x"))}, protocolViolation},
		{"overlap", frames{streamFrame(1, 1, []byte("x"))}, protocolViolation},
		{"gap on a new stream", frames{streamFrame(5, 1, []byte("x"))}, protocolViolation},
		{"data after FIN", frames{fin(1, 2, nil), streamFrame(1, 2, []byte("x"))}, finalSizeError},
		{"other final size after FIN", frames{fin(1, 2, nil), fin(1, 3, nil)}, finalSizeError},
		{"RESET_STREAM with another final size after FIN", frames{fin(1, 2, nil), reset(1, 0, 3)}, finalSizeError},
		{"data after RESET_STREAM", frames{reset(1, 0, 2), streamFrame(1, 2, []byte("x"))}, finalSizeError},
		{"RESET_STREAM twice, with another final size", frames{reset(1, 0, 2), reset(1, 0, 3)}, finalSizeError},
		{"RESET_STREAM with too small a final size", frames{reset(1, 0, 1)}, finalSizeError},
		{"RESET_STREAM with a final size above the window", frames{reset(1, 0, window+1)}, flowControlError},
		{"above the window by 1", append(full(), streamFrame(1, window, []byte("x"))), flowControlError},
		{"data at 2^62-1", frames{streamFrame(5, maxVarint, nil)}, protocolViolation},
		{"data beyond 2^62-1", frames{streamFrame(5, maxVarint, []byte("x"))}, frameEncodingError},

		{"STREAM on one of ours that was not opened", frames{streamFrame(0, 0, nil)}, streamStateError},
		{"RESET_STREAM on one of ours that was not opened", frames{reset(4, 0, 0)}, streamStateError},
		{"STOP_SENDING on one of ours that was not opened", frames{stop(0)}, streamStateError},
		{"MAX_STREAM_DATA on one of ours that was not opened", frames{maxData(0)}, streamStateError},
		{"stream at the limit", frames{streamFrame(dialSide.id(10), 0, nil)}, streamLimitError},
		{"stream far beyond the limit", frames{reset(maxVarint/4*4-3, 0, 0)}, streamLimitError},
		{"unidirectional stream", frames{streamFrame(3, 0, []byte("x"))}, streamLimitError},
		{"unidirectional stream of ours", frames{streamFrame(2, 0, []byte("x"))}, streamStateError},
		{"STOP_SENDING on a unidirectional stream", frames{stop(3)}, streamStateError},
		{"MAX_STREAM_DATA on a unidirectional stream", frames{maxData(3)}, streamStateError},
		{"2^60+1 streams", frames{unhex(t, "12 d000000000000001")}, frameEncodingError},

		{"response to no ping", frames{encode(frame{typ: framePong, seq: 77})}, protocolViolation},
		{"response to ping 0", frames{encode(frame{typ: framePong})}, protocolViolation},
		{"ping repeated", frames{encode(frame{typ: framePing, seq: 5}), encode(frame{typ: framePing, seq: 5})}, protocolViolation},
		{"ping going back", frames{encode(frame{typ: framePing, seq: 5}), encode(frame{typ: framePing, seq: 4})}, protocolViolation},
		{"extension that was not declared", frames{encode(frame{typ: frameLeaving})}, frameEncodingError},
	} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			s, peer := meet(t, listenSide, mux.Config{AcceptBacklog: 10}, greetings())
			peer.say(streamFrame(1, 0, []byte("hi")))
			st := accept(t, s)
			for _, f := range test.frames {
				peer.say(f)
			}
			peer.hearClose(test.code)
			peer.conn.Close()
			wantViolation(t, cause(t, s), test.code)
			if _, err := st.Write([]byte("x")); !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("write: error %v, want mux.ErrSessionEnded", err)
			}
		})
	}
	t.Run("extension", func(t *testing.T) {
		for name, f := range map[string][]byte{
			"accepted what was not opened": encode(frame{typ: frameAccepted, max: 1}),
			"long message":                 append(encode(frame{typ: frameMessage, length: mux.MaxMessage + 1}), make([]byte, mux.MaxMessage+1)...),
		} {
			t.Run(name, func(t *testing.T) {
				leak.Check(t)
				p := greetings()
				p.backlog = 1
				s, peer := meet(t, dialSide, mux.Config{}, p)
				peer.say(f)
				if err := cause(t, s); !errors.Is(err, mux.ErrProtocol) {
					t.Errorf("cause %v, want mux.ErrProtocol", err)
				}
			})
		}
	})
	t.Run("above the connection's window by 1", func(t *testing.T) {
		leak.Check(t)
		s, peer := meet(t, listenSide, mux.Config{ReceiveBuffer: window}, greetings())
		for offset := uint64(0); offset < 60<<10; offset += 10 << 10 { // less than a quarter
			peer.say(streamFrame(1, offset, make([]byte, 10<<10)))
		}
		peer.say(reset(5, 0, window-60<<10+1)) // less than the stream's
		peer.hearClose(flowControlError)
		peer.conn.Close()
		wantViolation(t, cause(t, s), flowControlError)
	})
}

// TestHarmless sends frames that a peer may send although they mean nothing.
func TestHarmless(t *testing.T) {
	leak.Check(t)
	s, peer := meet(t, listenSide, mux.Config{}, greetings())
	peer.write([]byte{0})                         // a record without frames
	peer.say(make([]byte, 1000))                  // PADDING
	peer.write(unhex(t, "8000 0002 0000"))        // a Size that is longer than need be
	peer.write(unhex(t, "c000000000000002 0000")) // longer still
	peer.say(streamFrame(1, 0, nil), streamFrame(1, 0, nil), streamFrame(1, 0, []byte("hello")))
	st := accept(t, s)
	for _, f := range []frame{
		{typ: frameMaxStreamData, id: 1, max: 0}, // limits that go down
		{typ: frameMaxData, max: 0},
		{typ: frameMaxStreamsBidi, max: 0},
		{typ: frameMaxStreamsUni, max: 1 << 60},
		{typ: frameDataBlocked, max: 7},
		{typ: frameStreamDataBlocked, id: 1, max: 7},
		{typ: frameStreamsBlockedBidi, max: 7},
		{typ: frameStreamsBlockedUni, max: 7},
		{typ: framePing, seq: 0},
		{typ: framePing, seq: 1 << 61},
	} {
		peer.say(encode(f))
	}
	peer.say(fin(1, 5, nil), fin(1, 5, nil), streamFrame(1, 5, nil)) // an end, again
	peer.say(unhex(t, "09 05 6c617374"))                             // data up to the end of the record, and that of stream 5
	got := make([]byte, 5)
	if n, err := st.Read(got); string(got[:n]) != "hello" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if _, err := st.Write([]byte("answer")); err != nil {
		t.Error("write:", err)
	}
	other := accept(t, s)
	if n, err := other.Read(got); string(got[:n]) != "last" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	st.Close()
	for f := (frame{}); !f.fin; { // until the stream is over
		f, _ = peer.hear()
	}
	peer.say(streamFrame(1, 5, []byte("x")), encode(frame{typ: frameStopSending, id: 1}), encode(frame{typ: framePing, seq: 1<<61 + 1}))
	for f := (frame{}); f.seq != 1<<61+1; {
		f, _ = peer.hear()
	}
	peer.conn.Close()
}

// TestBytewise cuts every record at every byte.
func TestBytewise(t *testing.T) {
	leak.Check(t)
	var says bytes.Buffer
	for _, record := range [][]byte{
		parametersFrame(greetings()), streamFrame(1, 0, []byte("one ")), encode(frame{typ: framePing, seq: 1 << 20}),
		slices.Concat([]byte{0, 0}, streamFrame(1, 4, []byte("two "))), fin(1, 8, []byte("three")),
	} {
		says.Write(appendVarint(nil, uint64(len(record))))
		says.Write(record)
	}
	s, peer := meetPuppet(t, listenSide, mux.Config{})
	peer.conn.SetNoDelay(true)
	for _, b := range says.Bytes() {
		peer.write([]byte{b})
	}
	st := accept(t, s)
	got := make([]byte, 0, 20)
	for err := error(nil); err == nil; {
		var n int
		n, err = st.Read(got[len(got):cap(got)])
		got = got[:len(got)+n]
	}
	if string(got) != "one two three" {
		t.Errorf("read %q", got)
	}
	peer.conn.Close()

	for n := range says.Len() { // and the whole conversation
		s, peer := meetPuppet(t, listenSide, mux.Config{})
		peer.write(says.Bytes()[:n])
		peer.conn.Close()
		if err := cause(t, s); errors.Is(err, mux.ErrClosedByPeer) || errors.Is(err, mux.ErrProtocol) {
			t.Errorf("cut after %d bytes: %v, want neither mux.ErrClosedByPeer nor mux.ErrProtocol", n, err)
		}
	}
}
