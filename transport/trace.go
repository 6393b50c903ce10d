package transport

import (
	"context"
	"net/http"
	"reflect"
	"time"
)

// A Trace is a set of functions that are called when something happens, for
// metrics and the like. Any of them may be nil. They should return soon, because
// what they are told of waits for them. They must not call Close or Shutdown of
// their server or listener, which wait for them too; a goroutine can. Those of a
// client whose names begin with Dial may be called from several goroutines at a time;
// DialAndListen waits for them.
//
// The text of an error is one line of bounded length, in which what the peer says is
// escaped where it is not printable, and URLs have no user and no query. What else a
// function is told, such as a request, is as the peer has said it.
type Trace struct {
	// ClientConnected is called when a session begins, on either side, before
	// the handler of the server gets its Dialer.
	ClientConnected func(Info)

	// ClientGone is called when a session has ended, after ClientConnected.
	// err tells why, and [EndReasonOf] in one word; it matches [net.ErrClosed] if this end
	// closed it.
	ClientGone func(info Info, err error)

	// HandshakeFailed is called on a server when a request did not lead to a
	// session. If it was the server that refused it, and not a carrier, err
	// matches [*carrier.RejectedError], with the status of the answer, whatever
	// the reason.
	//
	// [*carrier.RejectedError]: https://pkg.go.dev/github.com/backdial/backdial/carrier#RejectedError
	HandshakeFailed func(r *http.Request, err error)

	// DialPassedOver is called on a client, before anything is tried, for a
	// carrier that is remembered as broken: until then it is tried only if the
	// others do not connect. err is how it failed.
	DialPassedOver func(carrier string, until time.Time, err error)

	// DialStarted is called on a client when an attempt to connect with one of
	// its carriers begins.
	DialStarted func(carrier string)

	// DialFailed is called on a client, after DialStarted, when an attempt
	// failed, or was given up because another carrier was first; err then
	// matches [ErrLostRace]. It names the URL, without its user and query. For the
	// attempt that succeeds, ClientConnected is called.
	DialFailed func(carrier string, err error)

	// StateChanged is called on a client when its listener changes its state.
	// Calls come one after the other, in order.
	StateChanged func(StateChange)

	// StreamDialed is called when a Dial of a [Dialer] or [Listener] has ended: with
	// what it was given, how long it took, and its error.
	StreamDialed func(ctx context.Context, info Info, took time.Duration, err error)

	// StreamOpened is called for each stream that is dialled or accepted.
	StreamOpened func(Info)

	// StreamMoved is called after each Read and Write of a stream, and whenever its
	// WriteTo or an [io.Copy] has passed something on, with how many
	// bytes it has read or written. RoundTrip and Streams of info are 0: this is
	// called often.
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
		// As above, but reflection takes as long as it does to write a little.
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

	// Err is the first error of a Read or Write, or nil. [io.EOF] and deadlines
	// are none.
	Err error
}
