package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/backdial/backdial/fleet"
)

// A stream between replicas begins with a question in one direction, and with an answer, or
// two, in the other. Both are frames: the length of what follows in two bytes, the most
// significant first, and then as many bytes. After an answer that the stream is open, it is the
// client's.
//
//	question: 1, ID         for a connection to a client
//	answer:   kind, text    which is for people, and may be empty
//
// The answer to a question of another kind is answerFailed. Bytes after an ID mean nothing; a
// later version may use them.
const (
	questionDial = 1

	maxQuestion = 4096
	maxAnswer   = 512
)

// An answerKind is the kind of an answer.
type answerKind byte

const (
	answerHeld       answerKind = 1 // the client is here, and being dialled: another answer follows
	answerOpen       answerKind = 2
	answerMoved      answerKind = 3 // the client is not here
	answerNotAllowed answerKind = 4
	answerFailed     answerKind = 5 // the client is here, but cannot be dialled
)

// errFrame means that a message is not one of this protocol.
var errFrame = errors.New("invalid message")

// appendQuestion appends the question for a client.
func appendQuestion(b []byte, id string) []byte {
	size := 1 + 2 + len(id)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = append(b, questionDial)
	b = binary.BigEndian.AppendUint16(b, uint16(len(id)))
	return append(b, id...)
}

// readQuestion returns the ID of the client that the question is about.
func readQuestion(r io.Reader) (id string, err error) {
	frame, err := readFrame(r, maxQuestion)
	if err != nil {
		return "", err
	}
	if len(frame) < 3 || frame[0] != questionDial {
		return "", fmt.Errorf("question %.16x: %w", frame, errFrame)
	}
	size := int(binary.BigEndian.Uint16(frame[1:]))
	if size > len(frame)-3 {
		return "", fmt.Errorf("question %.16x: %w", frame, errFrame)
	}
	id = string(frame[3 : 3+size])
	return id, fleet.CheckID(id)
}

func appendAnswer(b []byte, kind answerKind, text string) []byte {
	text = text[:min(len(text), maxAnswer-1)]
	b = binary.BigEndian.AppendUint16(b, uint16(1+len(text)))
	b = append(b, byte(kind))
	return append(b, text...)
}

func readAnswer(r io.Reader) (kind answerKind, text string, err error) {
	frame, err := readFrame(r, maxAnswer)
	if err != nil {
		return 0, "", err
	}
	if len(frame) == 0 {
		return 0, "", fmt.Errorf("an empty answer: %w", errFrame)
	}
	return answerKind(frame[0]), string(frame[1:]), nil
}

// readFrame reads a frame, and no byte after it.
func readFrame(r io.Reader, most int) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[:]))
	if size > most {
		return nil, fmt.Errorf("%d bytes, want %d at most: %w", size, most, errFrame)
	}
	frame := make([]byte, size)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	return frame, nil
}
