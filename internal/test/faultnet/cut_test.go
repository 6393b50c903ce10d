package faultnet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
)

func TestSwallow(t *testing.T) {
	eachWay(t, func(t *testing.T, p tcpPath, set func(faultnet.Way), from, to net.Conn) {
		idleClient, idleServer := p.pair(t)
		set(faultnet.Way{Swallow: true})
		// More than anything could hold.
		if _, err := from.Write(make([]byte, 32<<20)); err != nil {
			t.Fatal(err)
		}
		carries(t, to, from)
		set(faultnet.Way{})
		write(t, from, "lost")
		silent(t, to)
		from.(*net.TCPConn).CloseWrite()
		silent(t, to)
		carries(t, to, from)

		carries(t, idleClient, idleServer)
		carries(t, idleServer, idleClient)
	})
}

// TestSwallowNew uses a client that connects to a black hole.
func TestSwallowNew(t *testing.T) {
	leak.Check(t)
	p := newTCP(t)
	p.Set(faultnet.Both(faultnet.Way{Swallow: true}))
	client := p.dial(t)
	write(t, client, "is anybody there?")
	silent(t, client)
	p.ln.(*net.TCPListener).SetDeadline(time.Now().Add(silence))
	if _, err := p.ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("accept: %v", err)
	}
	p.ln.(*net.TCPListener).SetDeadline(time.Time{})
	p.Set(faultnet.Conditions{})
	silent(t, client)
	p.pair(t)
}

func TestRefuse(t *testing.T) {
	leak.Check(t)
	p := newTCP(t)
	client, server := p.pair(t)
	p.Set(faultnet.Conditions{Refuse: true})
	refused(t, p)
	carries(t, client, server)
	p.Set(faultnet.Conditions{})
	p.pair(t)
}

func TestServerIsGone(t *testing.T) {
	leak.Check(t)
	p := newTCP(t)
	p.ln.Close()
	refused(t, p)
}

// refused fails t if a new client is not turned away, sooner or later.
func refused(t *testing.T, p tcpPath) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new client gets %v, want a reset", err)
	}
}

func TestCut(t *testing.T) {
	for name, test := range map[string]struct {
		how            faultnet.Cut
		client, server error // nil: hears nothing
	}{
		"Reset":       {faultnet.Reset, syscall.ECONNRESET, syscall.ECONNRESET},
		"Finish":      {faultnet.Finish, io.EOF, io.EOF},
		"ResetClient": {faultnet.ResetClient, syscall.ECONNRESET, nil},
		"ResetServer": {faultnet.ResetServer, nil, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			for _, frozen := range []bool{false, true} {
				leak.Check(t)
				p := newTCP(t)
				client, server := p.pair(t)
				p.Set(faultnet.Both(faultnet.Way{Frozen: frozen}))
				if frozen {
					write(t, client, "on its way")
					write(t, server, "on its way")
				}
				p.Cut(test.how)
				hears := func(c net.Conn, want error) {
					t.Helper()
					if want != nil {
						ends(t, c, want)
						return
					}
					if _, err := c.Write(make([]byte, 32<<20)); err != nil {
						t.Error("write:", err)
					}
					silent(t, c)
				}
				hears(client, test.client)
				hears(server, test.server)
				p.Set(faultnet.Conditions{})
				p.pair(t)
			}
		})
	}
}

// TestEnds checks that one end's end reaches the other.
func TestEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, p tcpPath, _ func(faultnet.Way), from, to net.Conn) {
		from.(*net.TCPConn).CloseWrite()
		ends(t, to, io.EOF)
		carries(t, to, from)
		to.Close()
		ends(t, from, io.EOF)

		client, server := p.pair(t)
		client.(*net.TCPConn).SetLinger(0)
		client.Close()
		ends(t, server, syscall.ECONNRESET)
	})
}
