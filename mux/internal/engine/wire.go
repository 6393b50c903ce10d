// Package engine multiplexes streams over one connection, independent of the frame
// format. It keeps the contract of package mux; a [Wire] supplies the format, for
// instance that of yamux or smux.
//
// It exists because the libraries behind those formats break that contract, and cannot be
// fixed from outside: they report a lost session as a clean end of file, ignore deadlines
// while the connection is stuck, block in Open forever, or spend a goroutine and a timer
// on each ping. Here one goroutine reads the connection and never blocks on anything
// else. Another writes it, and lives only while there is something to write, and a little
// longer. Every other call waits on a condition that deadlines, Close and the end of the
// session wake too.
//
// A Write copies into the session's queue, and the writer takes the queue as a whole:
// writes that arrive while it is busy are sent together, and a frame's header is never
// apart from its body. Only a Write that finds the queue empty, CloseWrite and Close wait
// until their bytes have been written, because the program may exit when they return.
package engine

import "bufio"

// A Wire is the frame format of one protocol. It has no state.
type Wire interface {
	// Name is the protocol's name, for error texts.
	Name() string

	// Answers reports whether all implementations of the protocol answer a Ping.
	Answers() bool

	// Read reads the next frame, without the payload of data or a message. Its error is
	// [io.EOF] only between two frames, and matches [mux.ErrProtocol] for an invalid
	// frame.
	Read(r *bufio.Reader) (Frame, error)

	// Append appends f to b, or nothing if the protocol has no such frame. The payload of
	// data or a message follows.
	Append(b []byte, f Frame) []byte
}

// A Kind is the kind of a frame.
type Kind uint8

// The kinds of frames.
const (
	OnStream Kind = iota // about one stream: everything in Flags, Length and Credit
	Ping                 // asks for a Pong with the same Value
	Pong                 // answers a Ping
	GoAway               // Value is one of the codes below; 0 ends no streams
	Message              // Length bytes of a message follow
	Idle                 // only a sign of life
)

// The codes of a GoAway frame.
const (
	goAwayNormal   = 0
	goAwayProtocol = 1
)

// Flags say what happens to a stream. If a frame has several, they apply in the order of
// this list, and the payload comes before Fin.
type Flags uint8

// The flags.
const (
	Open  Flags = 1 << iota // the sender opens the stream
	Ack                     // the sender accepts the stream
	Fin                     // the sender writes no more
	Stop                    // the sender reads no more
	Reset                   // the sender neither reads nor writes any more
	Stray                   // the answer to a frame for a stream that is gone
)

// A Frame is one message of the protocol.
type Frame struct {
	Kind   Kind
	Flags  Flags
	ID     uint32 // of the stream
	Length int    // of the payload
	Credit Credit
	Value  uint32 // of a Ping, Pong or GoAway
}

// pingValues is the number of values of a Ping, in every protocol so far.
const pingValues = 1 << 30

// A Credit lets the peer send more on a stream. Protocols express it in one of two ways.
// A frame to be sent has both filled in, a received one has one.
type Credit struct {
	Grant uint32 // how many bytes more than before

	Absolute bool   // whether the fields below are used
	Consumed uint32 // how many bytes have been read, modulo 2³²
	Window   uint32 // how many more than that may be sent
}

// initialWindow is how many bytes each end may send on a new stream before any credit
// arrives, in every protocol so far.
const initialWindow = 256 << 10
