package muxlib

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/backdial/backdial/mux"
)

// A Format describes how a protocol divides a connection into frames: a header of a fixed
// size, and a body.
type Format struct {
	// Header is the size of a header in bytes.
	Header int

	// Window is how many unread bytes of a stream the peer may send, if the library does
	// not check that.
	Window int

	// Parse parses a header. Several goroutines may call it.
	Parse func(header []byte) Frame

	// Hear is called with each frame that arrives, and reports whether the library is to
	// read it. It may change the frame's header and body. body is nil if it has more than
	// [mux.MaxMessage] bytes. Hear keeps neither. An error ends the connection, and is the
	// cause of the session's end.
	Hear func(frame *Frame, header, body []byte) (pass bool, err error)
}

// A Frame is a parsed header.
type Frame struct {
	Stream uint32 // which the frame is about
	Size   int    // of the body
	Data   bool   // the body is data of the stream
	Opens  bool   // it opens the stream
	Ends   bool   // it ends the sender's direction
	Resets bool   // it resets the stream
}

// Frames is a connection for a library's session. An adapter can also send and receive
// frames that the library does not know, and ask what has arrived on streams. The
// library's output is sent in whole frames.
//
// A [Session] that embeds it, and whose streams are [Identified], tells the end of a
// stream from the end of the session, and loses no stream that arrives right before it.
type Frames struct {
	*End
	format  Format
	in      *bufio.Reader
	streams heard

	part []byte // the library's unfinished frame; for the goroutine that writes

	// For the goroutine that reads.
	header []byte
	next   []byte // what the library reads before the rest of the frame
	rest   int    // bytes of the body that follow
	drop   bool   // they are thrown away

	mu      sync.Mutex // guards below
	idle    sync.Cond  // wakes when nobody writes
	wg      sync.WaitGroup
	told    []byte // frames for the library to read
	queue   []byte // frames to be written
	writing bool
	done    chan struct{} // closed by Close
}

// NewFrames returns end for a library whose protocol has this format.
func NewFrames(end *End, format Format) *Frames {
	f := &Frames{streams: heard{streams: make(map[uint32]*Heard), opened: make(map[uint32]struct{})}, End: end, format: format, in: bufio.NewReader(receiver{end}), header: make([]byte, format.Header), done: make(chan struct{})}
	f.idle.L = &f.mu
	return f
}

// maxQueue is how many bytes of frames may wait for the connection.
const maxQueue = 64 << 10

var errBusy = errors.New("too much waits for the connection to take it")

// Say sends a frame to the peer, between two of the library's frames. It does not wait.
// It fails if too much waits already, or the connection is closed.
func (f *Frames) Say(frame []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closedLocked():
		return net.ErrClosed
	case len(f.queue)+len(frame) > maxQueue:
		return errBusy
	}
	f.queue = append(f.queue, frame...)
	if !f.writing {
		f.writing = true
		f.wg.Go(f.write)
	}
	return nil
}

// Tell makes the library read a frame as if the peer had sent it, before the peer's next
// frame.
func (f *Frames) Tell(frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, frame...)
}

// write writes the queue.
func (f *Frames) write() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) > 0 && !f.closedLocked() {
		queue := f.queue
		f.queue = nil
		f.mu.Unlock()
		f.End.Write(queue)
		f.mu.Lock()
	}
	f.writing = false
	f.idle.Broadcast()
}

// Write is called by the library, from one goroutine at a time. It returns when all whole
// frames have been written.
func (f *Frames) Write(p []byte) (int, error) {
	f.part = append(f.part, p...)
	whole := f.whole()
	if whole == 0 {
		return len(p), nil
	}
	f.mu.Lock()
	for f.writing {
		f.idle.Wait()
	}
	f.writing = true
	f.queue = append(f.queue, f.part[:whole]...)
	f.mu.Unlock()
	f.part = append(f.part[:0], f.part[whole:]...)
	if len(f.part) == 0 && cap(f.part) > maxQueue {
		f.part = nil
	}
	f.write()
	return len(p), nil
}

// whole is how many bytes of part are whole frames, which will now be sent.
func (f *Frames) whole() (n int) {
	for {
		rest := f.part[n:]
		if len(rest) < f.format.Header {
			return n
		}
		frame := f.format.Parse(rest[:f.format.Header])
		if len(rest) < f.format.Header+frame.Size {
			return n
		}
		f.streams.said(frame)
		n += f.format.Header + frame.Size
	}
}

// Done returns a channel that is closed by Close.
func (f *Frames) Done() <-chan struct{} { return f.done }

func (f *Frames) closedLocked() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Flush implements [Flusher].
func (f *Frames) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.writing && !f.closedLocked() {
		f.idle.Wait()
	}
}

// Close implements [net.Conn].
func (f *Frames) Close() error {
	f.mu.Lock()
	if !f.closedLocked() {
		close(f.done)
	}
	f.idle.Broadcast()
	f.mu.Unlock()
	err := f.End.Close()
	f.wg.Wait()
	return err
}

// Read is called by the library.
func (f *Frames) Read(p []byte) (int, error) {
	for len(f.next) == 0 {
		if f.rest > 0 && !f.drop {
			n, err := f.in.Read(p[:min(len(p), f.rest)])
			f.rest -= n
			return n, f.failed(cut(err))
		}
		if err := f.frame(); err != nil {
			return 0, f.failed(err)
		}
	}
	n := copy(p, f.next)
	f.next = f.next[n:]
	return n, nil
}

func (f *Frames) failed(err error) error {
	if err != nil {
		f.fail(err)
	}
	return err
}

// frame reads the beginning of the next frame, or a frame from Tell.
func (f *Frames) frame() error {
	if f.drop {
		_, err := f.in.Discard(f.rest)
		f.rest, f.drop = 0, false
		if err != nil {
			return cut(err)
		}
	}
	if f.next = f.take(); len(f.next) > 0 {
		return nil
	}
	if _, err := io.ReadFull(f.in, f.header); err != nil {
		return err
	}
	frame := f.format.Parse(f.header)
	body, err := f.small(frame.Size)
	if err != nil {
		return cut(err)
	}
	pass, err := f.format.Hear(&frame, f.header, body)
	if err != nil {
		return err
	}
	if f.rest, f.drop = frame.Size, !pass; !pass {
		return nil
	}
	f.next = f.header
	if f.streams.heard(frame) {
		f.session.wakeOpen()
	}
	return f.exceeds(frame)
}

// exceeds returns an error if the peer has sent more of a stream than it may. Bytes that
// the application is reading may be announced but not counted yet; they are never more
// than another window.
func (f *Frames) exceeds(frame Frame) error {
	h := f.Heard(frame.Stream)
	if holds := int(h.Received - h.read); f.format.Window > 0 && holds > 2*f.format.Window {
		return fmt.Errorf("%w: stream %d holds %d unread bytes, but its window is %d",
			mux.ErrProtocol, frame.Stream, holds, f.format.Window)
	}
	return nil
}

// small reads a body of size bytes, and returns nil for a large one.
func (f *Frames) small(size int) ([]byte, error) {
	if size > mux.MaxMessage {
		return nil, nil
	}
	return f.in.Peek(size)
}

// take returns the frames from Tell.
func (f *Frames) take() (told []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told, f.told = f.told, nil
	return told
}

// cut is the error when a frame has begun.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
