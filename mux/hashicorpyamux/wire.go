package hashicorpyamux

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxlib"
)

// The frame header: version, type, flags (2 bytes), stream id (4), length (4), all big
// endian.
const (
	typeData, typeWindowUpdate, typePing = 0, 1, 2
	flagSYN, flagACK, flagFIN, flagRST   = 1, 2, 4, 8
	headerSize                           = 12

	messages = 0 // the stream whose data are messages; the library ignores them
)

func frame(typ byte, flags uint16, id, length uint32) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, typ}, flags)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, id), length)
}

func parse(header []byte) (f muxlib.Frame) {
	f.Stream = binary.BigEndian.Uint32(header[4:])
	if header[1] > typeWindowUpdate {
		return f
	}
	if f.Data = header[1] == typeData; f.Data {
		f.Size = int(binary.BigEndian.Uint32(header[8:]) & (1<<30 - 1)) // more than any window
	}
	flags := binary.BigEndian.Uint16(header[2:])
	f.Opens, f.Ends, f.Resets = flags&flagSYN != 0, flags&flagFIN != 0, flags&flagRST != 0
	return f
}

// hear handles messages, pings, and data for a stream that nobody reads.
func (s *session) hear(f *muxlib.Frame, header, body []byte) (pass bool, err error) {
	typ, flags, length := header[1], binary.BigEndian.Uint16(header[2:]), binary.BigEndian.Uint32(header[8:])
	switch {
	case typ == typePing && flags&flagSYN != 0: // the library would start a goroutine
		if s.Say(frame(typePing, flagACK, 0, length)) != nil {
			err = fmt.Errorf("%w: the peer sends pings and does not read the answers", mux.ErrProtocol)
		}
		return false, err
	case typ == typePing:
		s.PeerReads()
		return true, nil
	case typ > typeWindowUpdate || header[0] != 0: // the library reports it
		return true, nil
	case f.Stream == messages && (typ != typeData || flags != 0 || body == nil):
		return false, fmt.Errorf("%w: a frame of type %d, flags %x and %d bytes for stream 0", mux.ErrProtocol, typ, flags, length)
	case f.Stream == messages:
		s.Message(bytes.Clone(body))
		return false, nil
	case f.Opens && f.Stream%2 == 1 == s.DialSide:
		return false, fmt.Errorf("%w: peer opens stream %d, which only this end may open", mux.ErrProtocol, f.Stream)
	case f.Data && f.Size > 0 && !f.Opens && !s.Knows(f.Stream):
		s.reset(f.Stream)
		return false, nil
	}
	return true, nil
}

// reset makes both ends take a stream as reset by the other.
func (s *session) reset(id uint32) {
	s.Say(frame(typeWindowUpdate, flagRST, id, 0))
	s.Tell(frame(typeWindowUpdate, flagRST, id, 0))
}

// Send implements [muxlib.Messenger].
func (s *session) Send(message []byte) error {
	return s.Say(append(frame(typeData, 0, messages, uint32(len(message))), message...))
}
