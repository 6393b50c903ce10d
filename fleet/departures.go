package fleet

import (
	"container/list"
	"time"
)

// maxDepartures is how many clients that have left are remembered.
const maxDepartures = 65536

// Departures are the clients that have left, the latest last.
type departures struct {
	order list.List
	byID  map[string]*list.Element
}

type departure struct {
	id  string
	at  time.Time
	why error
}

func (d *departures) init() { d.byID = make(map[string]*list.Element) }

// add remembers that a client has left. It is not among them yet.
func (d *departures) add(id string, why error) {
	d.byID[id] = d.order.PushBack(departure{id, time.Now(), why})
	if oldest := d.order.Front(); d.order.Len() > maxDepartures {
		d.forget(oldest.Value.(departure).id)
	}
}

// forget is called when a client is back.
func (d *departures) forget(id string) {
	if e := d.byID[id]; e != nil {
		d.order.Remove(e)
		delete(d.byID, id)
	}
}

// of returns when and why a client has left, if it has.
func (d *departures) of(id string) departure {
	if e := d.byID[id]; e != nil {
		return e.Value.(departure)
	}
	return departure{id: id}
}
