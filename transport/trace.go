package transport

import (
	"context"
	"net/http"
	"reflect"
	"time"
)

// A Trace is a set of functions to call at events, for metrics and the like. Any of them may
// be nil. They should return soon, because the event waits for them. They must not call Close
// or Shutdown of their server or listener, which wait for them too; a goroutine may. The
// functions of a client whose names begin with Dial may run concurrently; DialAndListen waits
// for them.
//
// The text of an error is one line of bounded length. What the peer says in it is escaped
// where it is not printable, and URLs in it have no user and no query. Other arguments, such
// as a request, are as the peer sent them.
type Trace struct {
	// ClientConnected is called when a session begins, on either side, before the handler of
	// the server gets its Dialer.
	ClientConnected func(Info)

	// ClientGone is called when a session has ended, after ClientConnected. err is the reason,
	// and [EndReasonOf] returns it in one word. It matches [net.ErrClosed] if this end closed
	// the session.
	ClientGone func(info Info, err error)

	// HandshakeFailed is called on a server when a request did not lead to a session. If the
	// server refused it, and not a carrier, err matches [*carrier.RejectedError] with the
	// status of the answer, whatever the reason.
	//
	// [*carrier.RejectedError]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError
	HandshakeFailed func(r *http.Request, err error)

	// DialPassedOver is called on a client, before any attempt, for a carrier that it
	// remembers as broken: until then it tries the carrier only if the others do not connect.
	// err is how the carrier failed.
	DialPassedOver func(carrier string, until time.Time, err error)

	// DialStarted is called on a client when an attempt to connect with one of its carriers
	// begins.
	DialStarted func(carrier string)

	// DialFailed is called on a client, after DialStarted, when an attempt failed, or was
	// given up because another carrier was first; then err matches [ErrLostRace]. It has the
	// URL, without user and query. The attempt that succeeds leads to ClientConnected instead.
	DialFailed func(carrier string, err error)

	// StateChanged is called on a client when its listener changes its state. Calls are made
	// one at a time, in order.
	StateChanged func(StateChange)

	// StreamDialed is called when a Dial of a [Dialer] or [Listener] has returned. It gets the
	// context of the Dial, how long it took, and its error.
	StreamDialed func(ctx context.Context, info Info, took time.Duration, err error)

	// StreamOpened is called for each stream that is dialled or accepted.
	StreamOpened func(Info)

	// StreamMoved is called after each Read and Write of a stream, and whenever its WriteTo or
	// an [io.Copy] has passed something on, with the number of bytes read or written. It is
	// called often, so RoundTrip and Streams of info are 0.
	StreamMoved func(info Info, read, written int)

	// StreamClosed is called when the user of a stream has closed or reset it.
	StreamClosed func(Info, StreamStats)
}

// then returns a trace that calls the functions of t, and then those of next.
func (t Trace) then(next Trace) Trace {
	moved := t.StreamMoved
	both, second := reflect.ValueOf(&t).Elem(), reflect.ValueOf(next)
	for i := range both.NumField() {
		f, g := both.Field(i), second.Field(i)
		switch {
		case g.IsNil():
		case f.IsNil():
			f.Set(g)
		default:
			first := reflect.ValueOf(f.Interface()) // a copy: f is about to change
			f.Set(reflect.MakeFunc(f.Type(), func(args []reflect.Value) []reflect.Value {
				first.Call(args)
				return g.Call(args)
			}))
		}
	}
	if moved != nil && next.StreamMoved != nil {
		// As above, but without reflection, which takes as long as a small write.
		t.StreamMoved = func(info Info, read, written int) {
			moved(info, read, written)
			next.StreamMoved(info, read, written)
		}
	}
	return t
}

// StreamStats describes a stream that has ended.
type StreamStats struct {
	// Duration is how long it was open.
	Duration time.Duration

	// BytesRead and BytesWritten count the bytes that its user read and wrote.
	BytesRead, BytesWritten int64

	// Err is the first error of a Read or Write, or nil. [io.EOF] and deadlines do not count.
	Err error
}
