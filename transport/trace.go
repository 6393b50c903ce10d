package transport

import (
	"context"
	"net"
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

// Info describes a session. Carrier, Mux and Protocol are the same on both of
// its ends.
type Info struct {
	// Carrier and Mux are short names, such as "ws" and "yamux".
	Carrier, Mux string

	// Protocol is what was negotiated, such as "backdial.v1.yamux", or "" for
	// a peer that does not negotiate.
	Protocol string

	// LocalAddr and RemoteAddr are those of the carrier's connection.
	LocalAddr, RemoteAddr net.Addr

	// Since is when the session began.
	Since time.Time

	// Session is the ID of the session on this end, which no other has: 12 characters. Each
	// line of the log that is about the session has it.
	Session string

	// Client is who the client is, on a server: what [NameClient] has been told, by package
	// fleet for instance, or "".
	Client string

	// Server is the ID of the server ([WithServerID]), or "" if it has none. A client
	// knows it a moment after the session has begun, and only if something was
	// negotiated. It is what the server says: nothing vouches for it.
	Server string

	// RoundTrip is how long the other end took to answer the last time that it was
	// asked, or 0 if nothing is known yet: it is asked with the first connection,
	// and for keepalive.
	RoundTrip time.Duration

	// Streams is how many connections are in use: dialled or accepted on this end,
	// and not closed yet.
	Streams int

	// Fallback tells, on a client, why the carriers that it prefers to this one
	// are not in use: how each of them failed, that it had no session yet when
	// this one did ([ErrLostRace]), or until when it is passed over, and why. It
	// is nil if the client's first carrier is in use, and on a server.
	Fallback error
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
