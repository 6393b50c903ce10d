package webtransport

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRetries fills quic-go's queue. begin must then wait until a Retry packet has been
// sent, and not for ever.
func TestRetries(t *testing.T) {
	retry := []byte{0xf0, 0, 0, 0, 1}
	synctest.Test(t, func(t *testing.T) {
		r := newRetries()
		began := time.Now()
		for range retryQueue {
			r.begin()
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("begin waits for %v although there is room", took)
		}
		time.AfterFunc(time.Millisecond, func() { r.sent([]byte{0xc0, 0, 0, 0, 1}) }) // no Retry
		time.AfterFunc(2*time.Millisecond, func() { r.sent(retry) })
		r.begin()
		if took := time.Since(began); took != 2*time.Millisecond {
			t.Errorf("begin returns after %v, want 2ms", took)
		}
		began = time.Now()
		r.begin() // nothing is sent
		if took := time.Since(began); took != retryPatience {
			t.Errorf("begin gives up after %v, want %v", took, retryPatience)
		}
		for range 2 * retryQueue {
			r.sent(retry) // late
		}
		began = time.Now()
		for range retryQueue {
			r.begin()
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("begin waits for %v although all were sent", took)
		}
	})
}

func TestIsRetry(t *testing.T) {
	for _, test := range []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"Retry", []byte{0xf5, 0, 0, 0, 1}, true},
		{"Initial", []byte{0xc0, 0, 0, 0, 1}, false},
		{"Handshake", []byte{0xe0, 0, 0, 0, 1}, false},
		{"Retry of version 2", []byte{0xc5, 0x6b, 0x33, 0x43, 0xcf}, true},
		{"Handshake of version 2", []byte{0xf0, 0x6b, 0x33, 0x43, 0xcf}, false},
		{"version negotiation", []byte{0xf0, 0, 0, 0, 0}, false},
		{"short header", []byte{0x70, 0, 0, 0, 1}, false},
		{"nothing", nil, false},
	} {
		if got := isRetry(test.packet); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}
