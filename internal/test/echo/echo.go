// Package echo uses a session as a program would, whatever the peer does.
package echo

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/backdial/backdial/mux"
)

// A User of a session opens streams and accepts those of the peer. It writes a greeting
// to each, and then what it reads.
type User struct {
	Opens    int  // how many streams it opens
	Forgets  bool // it accepts no streams while there is a session
	Neglects bool // it does not use its streams while there is a session
	t        *testing.T
	session  mux.Session
	using    sync.WaitGroup
}

// Use uses the session until its end, and fails t for errors that a program would not
// understand.
func (u *User) Use(t *testing.T, s mux.Session) {
	u.t, u.session = t, s
	s.Send([]byte("hello")) // whether or not the peer gets it
	u.using.Go(u.accept)
	for range u.Opens {
		u.using.Go(u.open)
	}
}

// Wait waits until the user has closed every stream, and noticed that the session has
// ended.
func (u *User) Wait() { u.using.Wait() }

func (u *User) accept() {
	u.unless(u.Forgets)
	for {
		st, err := u.session.Accept(u.t.Context())
		if err != nil {
			u.check("accept", err)
			return
		}
		u.using.Go(func() { u.echo(st) })
	}
}

func (u *User) open() {
	st, err := u.session.Open(u.t.Context())
	if err != nil {
		u.check("open", err)
		return
	}
	u.echo(st)
}

func (u *User) echo(st mux.Stream) {
	defer st.Close()
	u.unless(u.Neglects)
	_, err := io.WriteString(st, "hello")
	if err == nil {
		_, err = io.Copy(st, st)
	}
	if err == nil {
		err = st.CloseWrite()
	}
	if err != nil {
		st.Reset() // the peer must not take this for the end
	}
	u.check("echo", err)
}

// unless waits for the end of the session if lazy is true.
func (u *User) unless(lazy bool) {
	if lazy {
		<-u.session.Context().Done()
	}
}

func (u *User) check(what string, err error) {
	if err == nil {
		return
	}
	for _, expected := range []error{mux.ErrSessionEnded, mux.ErrReset, mux.ErrGoAway, net.ErrClosed} {
		if errors.Is(err, expected) {
			return
		}
	}
	u.t.Errorf("%s: unexpected error %v", what, err)
}
