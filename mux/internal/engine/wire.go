// Package engine multiplexes streams over one connection, whatever the frames
// look like. It keeps the contract of package mux; a [Wire] supplies the frame
// format, of yamux or smux for instance.
//
// It exists because the libraries behind those formats do not keep that
// contract, and cannot be made to from outside: they report a lost session as
// a clean end of file, ignore deadlines while the connection is stuck, block
// in Open for ever, or spend a goroutine and a timer on each ping. Here the
// waiting is ours. One goroutine reads the connection and never blocks on
// anything else; another writes it, and lives only while there is something
// to write, and a little longer. Everybody else waits on a condition that
// deadlines, Close and the end of the session wake too.
//
// A Write copies into the queue of the session, which the writing goroutine
// takes as a whole: writes that arrive while it is busy leave together, and a
// frame's header is never apart from its body.
// Only a Write that finds nothing in front of it, CloseWrite and Close wait until it has
// been written, because the program may end when they return.
package engine

import "bufio"

// A Wire is the frame format of one protocol. It has no state.
type Wire interface {
	// Name is the protocol's name, for error texts.
	Name() string

	// Answers reports whether all implementations of the protocol answer a Ping.
	Answers() bool

	// Read reads the next frame, except the payload of data or a message. Its
	// error is [io.EOF] only between two frames, and matches
	// [mux.ErrProtocol] for what is not a frame.
	Read(r *bufio.Reader) (Frame, error)

	// Append appends f to b. It appends nothing for what the protocol cannot
	// say. The payload of data or a message follows.
	Append(b []byte, f Frame) []byte
}

// A Kind says what a frame is about.
type Kind uint8

// The kinds of frames.
const (
	OnStream Kind = iota // one stream: everything in Flags, Length and Credit
	Ping                 // asks for a Pong with the same Value
	Pong                 // answers a Ping
	GoAway               // Value is one of the codes below; 0 ends no stream
	Message              // Length bytes follow, which are a message
	Idle                 // nothing but a sign of life
)

// The codes of a GoAway frame.
const (
	goAwayNormal   = 0
	goAwayProtocol = 1
)

// Flags say what happens to a stream. Of several in one frame, the ones listed
// first happen first, and the payload comes before Fin.
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

// pingValues is how many values a Ping can have, in every protocol so far.
const pingValues = 1 << 30

// A Credit lets the peer send more on a stream. Protocols say it in one of two
// ways; frames to be sent have both filled in, received ones have one.
type Credit struct {
	Grant uint32 // how many bytes more than before

	Absolute bool   // whether the rest is used
	Consumed uint32 // how many bytes have been read, modulo 2³²
	Window   uint32 // how many more than that may be sent
}

// initialWindow is how many bytes each end may send on a new stream before it
// has heard of more, in every protocol so far.
const initialWindow = 256 << 10
