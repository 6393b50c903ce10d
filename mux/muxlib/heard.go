package muxlib

import "sync"

// Heard is what has arrived of a stream.
type Heard struct {
	Received uint32 // bytes, as far as they fit
	Ended    bool   // the peer has ended its direction
	Reset    bool   // the peer has reset the stream before
	read     uint32 // bytes, as far as they fit
}

// heard is what has arrived of the streams that this end has not forgotten.
type heard struct {
	mu      sync.Mutex // guards below
	arrived int        // streams that the peer has opened
	streams map[uint32]*Heard
	opened  map[uint32]struct{} // here, and the peer has said nothing of them yet
}

// said notes what the library has written. A reset of its own is that of a stream which it
// has refused.
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

// heard notes what the library is going to read, and reports whether the peer has accepted
// a stream with it.
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

// Knows reports whether a stream has been opened, and not been forgotten.
func (f *Frames) Knows(id uint32) bool {
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	return f.streams.streams[id] != nil
}

// Heard returns what has arrived of a stream.
func (f *Frames) Heard(id uint32) Heard {
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	if st := f.streams.streams[id]; st != nil {
		return *st
	}
	return Heard{}
}

// hasRead notes that so many bytes more of a stream have been read.
func (f *Frames) hasRead(id uint32, n int) {
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	if st := f.streams.streams[id]; st != nil {
		st.read += uint32(n)
	}
}

// Forget is Heard for the last time: it is called when a stream is closed or reset.
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
