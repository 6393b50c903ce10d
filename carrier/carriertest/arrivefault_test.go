package carriertest_test

import (
	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
)

// arriveFaults are mistakes in the calls that wait for a message.
var arriveFaults = []fault{{
	"ArriveSeesNothing",
	faultyArrivals(func(c promptReadConn) carrier.Conn { return blind{c} }),
	[]Promise{Arrives},
}, {
	"ArriveSeesTooMuch",
	faultyArrivals(func(c promptReadConn) carrier.Conn { return hasty{c} }),
	[]Promise{Arrives},
}, {
	"ArriveTakes",
	faultyArrivals(func(c promptReadConn) carrier.Conn { return taking{c} }),
	[]Promise{Arrives},
}, {
	"InterruptIsIgnored",
	faultyArrivals(func(c promptReadConn) carrier.Conn { return stubborn{c} }),
	[]Promise{Arrives},
}, {
	"InterruptCloses",
	faultyArrivals(func(c promptReadConn) carrier.Conn { return brittle{c} }),
	[]Promise{Arrives},
}}

// faultyArrivals is a target with a mistake in both ends of connections.
func faultyArrivals(wrap func(promptReadConn) carrier.Conn) Target {
	return untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return wrap(c.(promptReadConn)) }})
}

// blind never sees a message.
type blind struct{ promptReadConn }

func (c blind) Arrive(wait bool) bool {
	c.promptReadConn.Arrive(wait)
	return false
}

// hasty sees a message before it is there.
type hasty struct{ promptReadConn }

func (c hasty) Arrive(bool) bool { return true }

// taking takes the message that it sees.
type taking struct{ promptReadConn }

func (c taking) Arrive(wait bool) bool {
	whole := c.promptReadConn.Arrive(wait)
	if whole {
		c.NextMessage(1 << 20)
	}
	return whole
}

// stubborn cannot be interrupted.
type stubborn struct{ promptReadConn }

func (c stubborn) Interrupt() {}

// brittle ends with an interrupt.
type brittle struct{ promptReadConn }

func (c brittle) Interrupt() { c.Close() }
