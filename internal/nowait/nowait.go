// Package nowait reads from and writes to sockets as much as is possible without waiting.
// [New] returns nil where there is no such way.
package nowait

// A Spill is memory for what has arrived beyond the room that its reader has.
type Spill interface {
	// Take returns memory that belongs to the read until Done.
	Take() []byte

	// Done says that n bytes of it have been filled. It is called after each Take, also if
	// nothing has arrived, so waiting needs no memory.
	Done(n int)
}
