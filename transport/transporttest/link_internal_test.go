package transporttest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/mux/muxtest"
)

// able is a connection that can do everything. It fails with errThrough where it is called.
type able struct{ net.Conn }

var errThrough = errors.New("the call went through")

func (able) Protocol() string                        { return "test" }
func (able) CloseWrite() error                       { return errThrough }
func (able) NextMessage(int) (int, error)            { return 44, errThrough }
func (able) WriteMessages(...[]byte) error           { return errThrough }
func (able) WriteLast(...[]byte) error               { return errThrough }
func (able) WriteNow(...[]byte) (kept bool, _ error) { return false, errThrough }
func (able) Flush() error                            { return errThrough }
func (able) ReadNow([]byte) int                      { return 44 }
func (able) Arrive(bool) bool                        { return true }
func (able) Interrupt()                              {}

// present tells which powers p has.
func present(p powers.Conn) [4]bool {
	return [4]bool{p.CloseWriter != nil, p.Messenger != nil, p.PromptWriter != nil, p.PromptReader != nil}
}

// TestLinkKeepsPowers puts a link under connections with each combination of powers.
func TestLinkKeepsPowers(t *testing.T) {
	for chosen := range 1 << 4 {
		t.Run(fmt.Sprintf("%04b", chosen), func(t *testing.T) {
			inner, _ := net.Pipe()
			conn := able{inner}
			own := powers.OfConn(conn)
			if chosen&1 == 0 {
				own.CloseWriter = nil
			}
			if chosen&2 == 0 {
				own.Messenger = nil
			}
			if chosen&4 == 0 {
				own.PromptWriter = nil
			}
			if chosen&8 == 0 {
				own.PromptReader = nil
			}
			links := make(chan muxtest.Link, 1)
			linked, err := link(own.Wrap(conn), nil, links)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := present(powers.OfConn(linked)), present(own); got != want {
				t.Errorf("CloseWriter, MessageConn, PromptWriter, PromptReader: %v, want %v", got, want)
			}
			if linked.Protocol() != "test" {
				t.Errorf("protocol %q, want that of the connection", linked.Protocol())
			}
			l := <-links
			checkPowers(t, "before", powers.OfConn(linked), true)
			l.Freeze()
			l.Close()
			checkPowers(t, "after", powers.OfConn(linked), false)
		})
	}
	if conn, err := link(nil, io.EOF, nil); conn != nil || err != io.EOF {
		t.Errorf("link of an error: %v, %v", conn, err)
	}
}

// checkPowers calls each power that p has, and expects the call to go through the link or not.
func checkPowers(t *testing.T, when string, p powers.Conn, through bool) {
	t.Helper()
	check := func(what string, went bool) {
		t.Helper()
		if went != through {
			t.Errorf("%s the link is cut, %s went through: %t, want %t", when, what, went, through)
		}
	}
	if p.CloseWriter != nil {
		check("CloseWrite", p.CloseWriter.CloseWrite() == errThrough)
	}
	if p.Messenger != nil {
		_, err := p.Messenger.NextMessage(1)
		check("NextMessage", err == errThrough)
		check("WriteMessages", p.Messenger.WriteMessages() == errThrough)
		check("WriteLast", p.Messenger.WriteLast() == errThrough)
	}
	if p.PromptWriter != nil {
		_, err := p.PromptWriter.WriteNow()
		check("WriteNow", err == errThrough)
		check("Flush", p.PromptWriter.Flush() == errThrough)
	}
	if p.PromptReader != nil {
		check("ReadNow", p.PromptReader.ReadNow(nil) == 44)
		check("Arrive", p.PromptReader.Arrive(true))
	}
}
