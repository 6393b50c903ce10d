package chaff

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFlood expects many frames at once to count as a flood, unless frames that carry
// something come between them.
func TestFlood(t *testing.T) {
	var c Counter
	n := 1
	for ; !c.Add(); n++ {
		if n > 3*Max {
			t.Fatal("not taken for a flood")
		}
	}
	c = Counter{}
	for range n {
		if c.Add() {
			t.Fatal("taken for a flood")
		}
		c.None()
	}
}

// TestPingsForALongTime expects pings over a long time not to count as a flood.
func TestPingsForALongTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counter
		for range 10 * Max {
			if c.Add() {
				t.Fatal("taken for a flood")
			}
			time.Sleep(Time/Max + time.Microsecond)
		}
	})
}
