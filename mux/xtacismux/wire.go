package xtacismux

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxlib"
)

// The frame header: version, command, length (2 bytes), stream id (4), all little endian.
const (
	version, headerSize                    = 2, 8
	cmdSYN, cmdFIN, cmdPSH, cmdNOP, cmdUPD = 0, 1, 2, 3, 4
)

// Frames that the library ignores, as in package smuxmux: data for a stream that is not
// open, and cmdNOP, whose stream id has these lower two bits. A receiver that reads no
// more claims to have consumed beyond bytes more than it did, with no window.
const (
	messages                   = 0
	nopPing, nopPong, nopLeave = 1, 2, 3
	beyond                     = 1 << 30
)

func parse(header []byte) muxlib.Frame {
	return muxlib.Frame{
		Stream: binary.LittleEndian.Uint32(header[4:]),
		Size:   int(binary.LittleEndian.Uint16(header[2:])),
		Data:   header[1] == cmdPSH,
		Opens:  header[1] == cmdSYN,
		Ends:   header[1] == cmdFIN,
	}
}

func frame(cmd byte, id uint32, body ...byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{version, cmd}, uint16(len(body)))
	return append(binary.LittleEndian.AppendUint32(b, id), body...)
}

func update(id, consumed, window uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, consumed)
	return frame(cmdUPD, id, binary.LittleEndian.AppendUint32(b, window)...)
}

// hear handles the frames that the library ignores.
func (s *session) hear(f *muxlib.Frame, header, body []byte) (pass bool, err error) {
	switch {
	case header[0] != version: // the library reports it
	case header[1] == cmdNOP:
		return false, s.hearNOP(f.Stream)
	case f.Stream == messages && (!f.Data || body == nil):
		return false, fmt.Errorf("%w: command %d for stream 0", mux.ErrProtocol, header[1])
	case f.Stream == messages:
		s.Message(bytes.Clone(body))
		return false, nil
	case f.Opens && (s.Knows(f.Stream) || f.Stream%2 == 1 == s.DialSide):
		return false, fmt.Errorf("%w: peer opens stream %d, which is open or only this end may open", mux.ErrProtocol, f.Stream)
	case header[1] == cmdUPD && len(body) == 8:
		f.Resets = binary.LittleEndian.Uint32(body[4:]) == 0
	}
	return true, nil
}

// hearNOP answers a ping, or handles what the library does not know.
func (s *session) hearNOP(id uint32) error {
	switch id % 4 {
	case nopPing:
		if s.Say(frame(cmdNOP, id-nopPing+nopPong)) != nil {
			return fmt.Errorf("%w: the peer sends pings and does not read the answers", mux.ErrProtocol)
		}
	case nopPong:
		select {
		case s.pongs <- struct{}{}:
		default: // an answer that nobody waits for
		}
	case nopLeave: // after a violation the peer itself ends the session
		s.PeerLeaves()
	}
	return nil
}
