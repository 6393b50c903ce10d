package workload

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	"github.com/backdial/backdial/transport"
)

// header is the header with a device's number.
const header = "Workload-Device"

// Header returns the header with which device number connects.
func Header(number uint32) http.Header {
	return http.Header{header: {strconv.FormatUint(uint64(number), 10)}}
}

// Dialers holds the Dialers of the connected devices. It is a server's handler. The zero
// value is ready for use.
type Dialers struct {
	mu      sync.Mutex // guards below
	devices map[string]*dialers
}

// dialers holds those of one device.
type dialers struct {
	latest  *transport.Dialer
	changed chan struct{} // closed when there is a later one
}

// HandleEndpoint implements [transport.EndpointHandler].
func (s *Dialers) HandleEndpoint(d *transport.Dialer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of(d.Header.Get(header))
	if of.latest != nil && of.latest.Info().Since.After(d.Info().Since) {
		return // a later one came first
	}
	of.latest = d
	close(of.changed)
	of.changed = make(chan struct{})
}

func (s *Dialers) of(device string) *dialers {
	if s.devices == nil {
		s.devices = make(map[string]*dialers)
	}
	if s.devices[device] == nil {
		s.devices[device] = &dialers{changed: make(chan struct{})}
	}
	return s.devices[device]
}

// Of returns a function that waits for a device to be connected and returns its Dialer,
// for [Caller.Run].
func (s *Dialers) Of(number uint32) func(context.Context) (Dialer, error) {
	return func(ctx context.Context) (Dialer, error) {
		d, err := s.Await(ctx, number)
		return d, err
	}
}

// Await waits for a device to be connected.
func (s *Dialers) Await(ctx context.Context, number uint32) (*transport.Dialer, error) {
	device := Header(number).Get(header)
	for {
		s.mu.Lock()
		of := s.of(device)
		latest, changed := of.latest, of.changed
		s.mu.Unlock()
		if latest != nil && latest.Err() == nil {
			return latest, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
