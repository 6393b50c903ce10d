package workload

import (
	"math/rand/v2"
	"net"
	"sync"
)

// A Device answers its [Caller]. It is the client's side of a workload.
type Device struct {
	config Config
	calls  calls

	mu     sync.Mutex // guards below
	rand   *rand.Rand
	record DeviceRecord
}

// NewDevice returns device config.Number.
func NewDevice(config Config) *Device {
	d := &Device{config: config.withDefaults()}
	d.calls.now = d.config.Now
	d.rand = rand.New(rand.NewPCG(config.Seed, ^uint64(config.Number)))
	return d
}

// Serve answers on every connection that lis accepts, until Accept fails and all
// connections have ended. It returns the error of Accept.
func (d *Device) Serve(lis net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := lis.Accept()
		if err != nil {
			return err
		}
		all.Go(func() { d.serve(conn) })
	}
}

func (d *Device) serve(conn net.Conn) {
	st := newStream(conn, &d.calls, "device's", d.config)
	err := d.converse(st)
	st.closeWith(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record.outcome(err)
}

func (d *Device) converse(st *stream) error {
	for {
		asked, err := readMessage(st, request, d.config.MaxSize)
		if err != nil {
			return err
		}
		if asked.last {
			if err := st.end(); err != nil {
				return err
			}
		}
		if err := d.answer(asked).write(st); err != nil || asked.last {
			return err
		}
	}
}

// answer records a request, and returns the answer.
func (d *Device) answer(asked message) message {
	d.mu.Lock()
	defer d.mu.Unlock()
	if uint32(asked.number>>32) != d.config.Number {
		d.record.Strays++
	} else if !d.record.Seen.add(uint32(asked.number)) {
		d.record.Duplicates++
	}
	return message{answer, asked.last, asked.number, d.config.size(d.rand)}
}

// Record returns what the device knows so far.
func (d *Device) Record() DeviceRecord {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.record
	r.Seen = r.Seen.clone()
	r.Longest = d.calls.record()
	return r
}
