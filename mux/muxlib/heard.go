package muxlib

import "sync"

// Heard is what has arrived on a stream.
type Heard struct {
	Received uint32 // bytes, modulo 2³²
	Ended    bool   // the peer has ended its direction
	Reset    bool   // the peer has reset the stream
	read     uint32 // bytes, modulo 2³²
}

// heard is what has arrived on the streams that this end has not forgotten.
type heard struct {
	mu      sync.Mutex // guards below
	arrived int        // streams that the peer has opened
	streams map[uint32]*Heard
	opened  map[uint32]struct{} // by this end, and the peer has not answered yet
}

// said notes what the library has written. A reset that it writes by itself refuses a
// stream.
func (h *heard) said(f Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case f.Opens:
		h.streams[f.Stream] = new(Heard)
		h.opened[f.Stream] = struct{}{}
	case f.Resets && h.streams[f.Stream] != nil:
		delete(h.streams, f.Stream)
		h.arrived--
	}
}

// heard notes what the library is about to read, and reports whether that shows that the
// peer has accepted a stream.
func (h *heard) heard(f Frame) (accepted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, accepted = h.opened[f.Stream]
	delete(h.opened, f.Stream)
	if f.Opens {
		h.arrived++
		h.streams[f.Stream] = new(Heard)
	}
	st := h.streams[f.Stream]
	if st == nil {
		return accepted
	}
	if f.Data {
		st.Received += uint32(f.Size)
	}
	st.Reset = st.Reset || f.Resets && !st.Ended
	st.Ended = st.Ended || f.Ends && !st.Reset
	return accepted
}

func (h *heard) unaccepted() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.opened)
}

func (h *heard) total() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.arrived
}

// Knows reports whether a stream was opened and has not been forgotten.
func (f *Frames) Knows(id uint32) bool {
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	return f.streams.streams[id] != nil
}

// Heard returns what has arrived on a stream.
func (f *Frames) Heard(id uint32) Heard {
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	if st := f.streams.streams[id]; st != nil {
		return *st
	}
	return Heard{}
}

// hasRead notes that n more bytes of a stream have been read.
func (f *Frames) hasRead(id uint32, n int) {
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	if st := f.streams.streams[id]; st != nil {
		st.read += uint32(n)
	}
}

// Forget is the last Heard of a stream: it is called when the stream is closed or reset.
func (f *Frames) Forget(id uint32) Heard {
	h := f.Heard(id)
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	delete(f.streams.streams, id)
	return h
}

// framed is a [Session] that embeds [Frames].
type framed interface{ frames() *Frames }

func (f *Frames) frames() *Frames { return f }
