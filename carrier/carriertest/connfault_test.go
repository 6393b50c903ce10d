package carriertest_test

import (
	"net"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
)

// connFaults are mistakes of connections that the suite once missed.
var connFaults = []fault{{
	"AddressesAreSwapped",
	faultyConns(func(c closeWriter) closeWriter { return swapped{c} }),
	[]Promise{CarriesRequest, HasAddresses},
}, {
	"CloseTakesAWhile",
	faultyConns(func(c closeWriter) closeWriter { return slowClosing{c} }),
	[]Promise{CloseIsPrompt},
}, {
	"CloseLeavesGoroutine",
	faultyConns(func(c closeWriter) closeWriter { return &haunted{closeWriter: c} }),
	[]Promise{EndsOneDirection, DeliversBeforeClose, CloseIsPrompt},
}, {
	"EmptyWriteEnds",
	faultyConns(func(c closeWriter) closeWriter { return emptyEnds{c} }),
	[]Promise{CarriesBytes},
}, {
	"EmptyReadWaits",
	faultyConns(func(c closeWriter) closeWriter { return emptyWaits{c} }),
	[]Promise{CarriesBytes},
}, {
	"LateByteIsFlipped",
	faultyConns(func(c closeWriter) closeWriter { return &flipping{closeWriter: c} }),
	[]Promise{CarriesBytes},
}, {
	"WriteRetains",
	faultyConns(func(c closeWriter) closeWriter { return &keeping{closeWriter: c} }),
	[]Promise{CarriesBytes},
}}

// faultyConns is a target with a mistake in both ends of connections.
func faultyConns(wrap func(closeWriter) closeWriter) Target {
	return untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return wrap(half(c)) }})
}

type swapped struct{ closeWriter }

func (c swapped) LocalAddr() net.Addr  { return c.closeWriter.RemoteAddr() }
func (c swapped) RemoteAddr() net.Addr { return c.closeWriter.LocalAddr() }

type slowClosing struct{ closeWriter }

func (c slowClosing) Close() error {
	defer time.Sleep(250 * time.Millisecond)
	return c.closeWriter.Close()
}

// A haunted connection keeps a goroutine forever, if it closes after CloseWrite.
type haunted struct {
	closeWriter
	mu       sync.Mutex // guards below
	finished bool
}

func (c *haunted) CloseWrite() error {
	c.mu.Lock()
	c.finished = true
	c.mu.Unlock()
	return c.closeWriter.CloseWrite()
}

func (c *haunted) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		go func() { select {} }()
	}
	return c.closeWriter.Close()
}

type emptyEnds struct{ closeWriter }

func (c emptyEnds) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.CloseWrite()
	}
	return c.closeWriter.Write(p)
}

type emptyWaits struct{ closeWriter }

func (c emptyWaits) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.closeWriter.Read(make([]byte, 1))
	}
	return c.closeWriter.Read(p)
}

// A flipping connection flips a bit after the first 5 MiB.
type flipping struct {
	closeWriter
	read int
}

func (c *flipping) Read(p []byte) (int, error) {
	const at = 5 << 20
	n, err := c.closeWriter.Read(p)
	if c.read <= at && at < c.read+n {
		p[at-c.read] ^= 1
	}
	c.read += n
	return n, err
}

// A keeping connection returns from some small writes before it has written.
type keeping struct {
	closeWriter
	writes  int
	pending sync.WaitGroup
}

func (c *keeping) Write(p []byte) (int, error) {
	c.pending.Wait()
	if c.writes++; c.writes%100 != 0 || len(p) > 32<<10 {
		return c.closeWriter.Write(p)
	}
	c.pending.Go(func() {
		time.Sleep(10 * time.Millisecond)
		c.closeWriter.Write(p)
	})
	return len(p), nil
}
