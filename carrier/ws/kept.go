package ws

// What there was no room for at once is kept, as frames.

// A prompter writes without waiting, and returns how much it has written.
type prompter interface {
	write(pieces [][]byte) (n int, err error)
}

// try writes messages as far as there is room at once, and keeps the rest.
func (w *writer) try(p prompter, messages [][]byte) (kept bool, err error) {
	o := newOutput(w.conn, w.masks, messages)
	select {
	case w.turn <- struct{}{}:
	default: // somebody writes something else, or waits to
		return true, w.keep(o, messages)
	}
	if !o.holds(messages) || w.keeps() {
		defer w.end(nil)
		return true, w.keep(o, messages)
	}
	err = w.begin(o)
	for _, m := range messages {
		if err == nil && len(m) > 0 {
			err = o.frame(opBinary, m) // which holds it
		}
	}
	n := 0
	if o.gather(); err == nil && len(o.pieces) > 0 {
		n, err = p.write(o.pieces)
	}
	if rest := o.rest(n); err == nil && rest != nil {
		kept = true
		w.mu.Lock()
		w.kept = append(w.kept, rest)
		w.mu.Unlock()
	}
	w.end(err)
	return kept, err
}

// keep keeps all of messages. o is theirs.
func (w *writer) keep(o *output, messages [][]byte) error {
	o.gathers = false
	o.grow(occupied(messages, false))
	for _, m := range messages {
		if len(m) > 0 {
			o.frame(opBinary, m) // for which there is room
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, o)
	return w.err
}

// holds reports whether there is room for the frames of messages, and a pong.
func (o *output) holds(messages [][]byte) bool {
	return cap(o.buf)-occupied(messages, o.gathers) >= maxHeader+maxControl+maxHeader && 2*len(messages)+3 <= maxPieces
}

// rest returns what is left of o, which is gathered, when the first n bytes are on the
// wire: nil if that is all. Nothing of it is anybody else's. o is the rest, or free.
func (o *output) rest(n int) *output {
	total := 0
	for _, p := range o.pieces {
		total += len(p)
	}
	if n < total && total == len(o.buf) { // all of it is there
		clear(o.array[:])
		o.pieces, o.left = o.array[:0], n
		return o
	}
	defer o.free()
	if n == total {
		return nil
	}
	r := largeOutputs.Get().(*output)
	r.conn, r.pieces = o.conn, r.array[:0]
	r.grow(total - n)
	for _, p := range o.pieces {
		skip := min(n, len(p))
		r.buf, n = append(r.buf, p[skip:]...), n-skip
	}
	return r
}

// grow makes room for so many bytes, while nothing is gathered.
func (o *output) grow(size int) {
	if size += maxHeader; size > cap(o.buf) {
		o.buf = make([]byte, 0, size)
	}
}

// keeps reports whether something is kept.
func (w *writer) keeps() bool {
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
	for _, o := range kept {
		if err == nil {
			err = o.flush()
		}
		o.free()
	}
	return err
}
