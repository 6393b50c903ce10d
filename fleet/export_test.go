package fleet

// Waiting returns how many clients are waited for.
func (f *Fleet) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.awaited)
}

// Draining returns how many clients have sessions that are not dialled any more.
func (f *Fleet) Draining() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.draining)
}

// Remembered returns how many clients are remembered that have left.
func (f *Fleet) Remembered() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone.Len()
}

// LookupAfter looks for a client right after something has happened, before the fleet
// has heard of it.
func (f *Fleet) LookupAfter(id string, happens func()) (found bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	happens()
	return f.pickLocked(id) != nil, f.notConnectedLocked(id)
}

// Watching returns the number of watchers, and of changes that they have yet to receive.
func (f *Fleet) Watching() (watchers, pending int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		pending += w.pending.Len()
	}
	return len(f.watchers), pending
}

// Sessions returns how many sessions t knows.
func (t *Transport) Sessions() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sessions)
}

// Location is what becomes of a redirect of the client at path, to one at prefix.
func Location(id, prefix, path, host, location string) string {
	return target{id: id, prefix: prefix, path: path}.addPrefixToLocation(location, host)
}
