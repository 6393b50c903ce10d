package ws

// What finds no room at once is kept, as frames.

// try writes as much of messages as there is room for at once, and keeps the rest.
func (w *writer) try(messages [][]byte) (kept bool, err error) {
	o := newOutput(w.conn, w.masks, messages)
	select {
	case w.turn <- struct{}{}:
	default: // another goroutine writes, or waits to
		return true, w.keep(o, messages)
	}
	if !o.holds(messages) || w.keeps() {
		defer w.end(nil)
		return true, w.keep(o, messages)
	}
	err = w.begin(o)
	for _, m := range messages {
		if err == nil && len(m) > 0 {
			err = o.frame(opBinary, m) // the output has room for it
		}
	}
	n := 0
	if o.gather(); err == nil && len(o.pieces) > 0 {
		n, err = w.prompt.WriteNow(o.pieces)
	}
	if rest := o.rest(n); err == nil && rest != nil {
		kept = true
		w.mu.Lock()
		w.kept = append(w.kept, rest)
		w.mu.Unlock()
	}
	kept = kept || err == nil && w.prompt.Left()
	w.end(err)
	return kept, err
}

// keep keeps all of messages, in o, which has been made for them.
func (w *writer) keep(o *output, messages [][]byte) error {
	o.gathers, o.keeps = false, true
	for _, m := range messages {
		if len(m) > 0 {
			o.frame(opBinary, m) // writes nothing
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, o)
	return w.err
}

// holds reports whether o has room for the frames of messages, and a pong.
func (o *output) holds(messages [][]byte) bool {
	return cap(o.buf)-occupied(messages, o.gathers) >= maxHeader+maxControl+maxHeader && 2*len(messages)+3 <= maxPieces
}

// rest returns what is left of o, whose frames have been gathered, when the first n bytes
// have been written, or nil if nothing is left. The result shares no memory with a
// caller. o becomes the result, or is freed.
func (o *output) rest(n int) *output {
	total := 0
	for _, p := range o.pieces {
		total += len(p)
	}
	if n < total && total == len(o.buf) { // all of it is in buf
		clear(o.array[:])
		o.pieces, o.left = o.array[:0], n
		return o
	}
	defer o.free()
	if n == total {
		return nil
	}
	r := largeOutputs.Get().(*output)
	r.conn, r.pieces, r.keeps = o.conn, r.array[:0], true
	for _, p := range o.pieces {
		skip := min(n, len(p))
		r.keep(p[skip:])
		n -= skip
	}
	return r
}

// keep appends a copy of p.
func (o *output) keep(p []byte) {
	for len(p) > 0 {
		if len(o.buf) == cap(o.buf) {
			o.extend()
		}
		n := min(len(p), cap(o.buf)-len(o.buf))
		o.buf, p = append(o.buf, p[:n]...), p[n:]
	}
}

// extend continues in another buffer, when this one is full.
func (o *output) extend() {
	more := largeOutputs.Get().(*output)
	more.buf, o.buf = o.buf, more.buf
	o.pieces, o.taken = append(o.pieces, more.buf[o.taken:]), 0
	o.more = append(o.more, more)
}

// keeps reports whether anything is kept.
func (w *writer) keeps() bool {
	if w.prompt.Left() {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.kept) > 0
}

// flushKept writes what is kept. Its caller has the turn.
func (w *writer) flushKept() error {
	w.mu.Lock()
	kept, err := w.kept, w.err
	w.kept = nil
	w.mu.Unlock()
	if w.prompt != nil && err == nil {
		err = w.prompt.Flush()
	}
	for _, o := range kept {
		if err == nil {
			err = o.flush()
		}
		o.free()
	}
	return err
}
