package muxlib_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"net"

	"github.com/hashicorp/yamux"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxlib"
)

// NewYamux is the smallest [mux.Muxer] from a library. Package hashicorpyamux is a
// complete one from the same library.
func NewYamux() mux.Muxer {
	return muxlib.New(muxlib.Library{
		Name:     "least",
		Protocol: "example.v1.yamux",
		Start:    start,
		Errors: map[error]error{
			yamux.ErrConnectionReset: mux.ErrReset,
			yamux.ErrInvalidVersion:  mux.ErrProtocol,
		},
	})
}

func start(end *muxlib.End) (muxlib.Session, error) {
	config := yamux.DefaultConfig()
	config.EnableKeepAlive = false                // package muxlib does that
	config.ConnectionWriteTimeout = math.MaxInt64 // as it does this
	config.StreamOpenTimeout, config.StreamCloseTimeout = 0, 0
	config.LogOutput = io.Discard
	side := yamux.Server
	if end.DialSide {
		side = yamux.Client
	}
	s, err := side(end, config)
	return session{s}, err
}

type session struct{ *yamux.Session }

func (s session) Open() (net.Conn, error)   { return wrap(s.OpenStream()) }
func (s session) Accept() (net.Conn, error) { return wrap(s.AcceptStream()) }

// Ping makes it a [muxlib.Pinger].
func (s session) Ping() error { _, err := s.Session.Ping(); return err }

func wrap(st *yamux.Stream, err error) (net.Conn, error) { return stream{st}, err }

type stream struct{ *yamux.Stream }

// CloseWrite is what the library calls Close.
func (st stream) CloseWrite() error { return st.Stream.Close() }

func ExampleNew() {
	client, server := net.Pipe()
	m := NewYamux()
	dial, err := m.DialSide(server, mux.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer dial.Close()
	listen, err := m.ListenSide(client, mux.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer listen.Close()
	go func() {
		st, err := listen.Accept(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		io.WriteString(st, "hello from the client")
		st.Close()
	}()
	st, err := dial.Open(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer st.Close()
	greeting, err := io.ReadAll(st)
	fmt.Printf("%s, %v\n", greeting, err)
	// Output: hello from the client, <nil>
}
