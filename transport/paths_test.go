package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// connectOnce makes a session and closes it.
func connectOnce(t *testing.T, client *transport.Client) transport.Info {
	t.Helper()
	lis, err := client.DialAndListenContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lis.Close()
	synctest.Wait()
	return lis.Info()
}

// In TestBrokenPath a carrier does not work for days, and then works.
func TestBrokenPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := inMemory(t)
		ways, carriers := detours(network, blackHole, works)
		told := new(diary)
		client := transport.NewClient("mem://server", nil, carriers, transport.WithTrace(told.trace()))
		probed := []string{"0s a started", "300ms b started", "300ms a lost", "300ms b connected", "300ms b gone"}
		for _, backoff := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			backoff *= time.Minute
			told.take()
			connectOnce(t, client)
			told.expect(t, probed...)
			time.Sleep(backoff / 2)
			told.take()
			info := connectOnce(t, client)
			told.expect(t, fmt.Sprintf("0s a passed over for %v", backoff/2), "0s b started", "0s b connected", "0s b gone")
			want := `^a: passed over until \S+: failed with a: dial mem://server: no session within 300ms: another carrier was first$`
			if info.Fallback == nil || !regexp.MustCompile(want).MatchString(info.Fallback.Error()) {
				t.Errorf("fallback %v, want %s", info.Fallback, want)
			}
			time.Sleep(backoff / 2)
		}
		time.Sleep(time.Hour)
		ways[0].set(works)
		told.take()
		if info := connectOnce(t, client); info.Fallback != nil {
			t.Errorf("fallback %v on the first carrier", info.Fallback)
		}
		told.expect(t, "0s a started", "0s a connected", "0s a gone")
		ways[0].set(blackHole)
		connectOnce(t, client)
		told.expect(t, probed...)
		connectOnce(t, client)
		told.expect(t, "0s a passed over for 1m0s", "0s b started", "0s b connected", "0s b gone") // and not for an hour
	})
}

// TestReserve needs a carrier that is passed over.
func TestReserve(t *testing.T) {
	for _, test := range []struct {
		name   string
		now    way // what b has become
		events []string
	}{
		{"refused", refuses(syscall.ECONNREFUSED), []string{"0s a passed over for 1m0s", "0s b started", "0s b failed", "0s a started", "0s a connected"}},
		{"black hole", blackHole, []string{"0s a passed over for 1m0s", "0s b started", "5s a started", "5s b lost", "5s a connected"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, _ := inMemory(t)
				ways, carriers := detours(network, blackHole, works)
				told := new(diary)
				client := transport.NewClient("mem://server", nil, carriers, transport.WithTrace(told.trace()))
				connectOnce(t, client)
				ways[0].set(works)
				ways[1].set(test.now)
				told.take()
				lis, err := client.DialAndListenContext(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				told.expect(t, test.events...)
				lis.Close()
				synctest.Wait()
				told.take()
				connectOnce(t, client) // a works again, and is not passed over
				told.expect(t, "0s a started", "0s a connected", "0s a gone")
			})
		})
	}
}

// TestBlame tells errors that say that a path is broken from answers.
func TestBlame(t *testing.T) {
	for _, test := range []struct {
		way    way
		broken bool
	}{
		{refuses(syscall.ECONNREFUSED), true},
		{refuses(errors.New("anything")), true},
		{slowly(time.Second, refuses(syscall.ECONNREFUSED)), true},
		{blackHole, true},
		{refuses(&carrier.RejectedError{StatusCode: 403}), false},
		{refuses(carrier.ErrScheme), false},
		{refuses(transport.ErrNoCommonMux), false},
		{refuses(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), false},
		{refuses(x509.HostnameError{Certificate: new(x509.Certificate), Host: "server"}), false},
		{refuses(tls.AlertError(42)), false},
		{refuses(&net.DNSError{Err: "no such host", Name: "server"}), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			network, _ := inMemory(t)
			ways, carriers := detours(network, test.way, slow(10*time.Millisecond), works)
			client := transport.NewClient("mem://server", nil, carriers)
			before := connectOnce(t, client).Fallback
			ways[0].set(works)
			info := connectOnce(t, client)
			if broken := info.Carrier != "a"; broken != test.broken {
				t.Errorf("after %v: passed over %v, want %v", before, broken, test.broken)
			}
			client.URL = "mem://server/other"
			if other := connectOnce(t, client); other.Carrier != info.Carrier {
				t.Errorf("another path to the same host: connected by %s, want %s", other.Carrier, info.Carrier)
			}
		})
	}
}

// In TestHosts a carrier does not work for one host.
func TestHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := inMemory(t)
		another := serverFunc(t, nil, transport.WithCarriers(network))
		another.Addr = "another"
		go another.ListenAndServe()
		synctest.Wait()
		ways, carriers := detours(network, blackHole, works)
		client := transport.NewClient("mem://server", nil, carriers)
		connectOnce(t, client)
		ways[0].set(works)
		if info := connectOnce(t, client); info.Carrier != "b" {
			t.Errorf("server: connected by %s, want b", info.Carrier)
		}
		client.URL = "mem://another"
		if info := connectOnce(t, client); info.Carrier != "a" {
			t.Errorf("another: connected by %s, want a", info.Carrier)
		}
	})
}

// A fading is a mux whose sessions end when they are told to.
type fading struct {
	mux.Muxer
	mu  sync.Mutex
	end context.CancelCauseFunc // of the last session
}

type fadingSession struct {
	mux.Session
	ctx context.Context
}

func (s fadingSession) Context() context.Context { return s.ctx }

func (m *fading) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := m.Muxer.ListenSide(conn, config)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancelCause(s.Context())
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end = func(cause error) {
		end(cause)
		s.Close()
	}
	return fadingSession{s, ctx}, nil
}

// In TestSilentSession a path lets handshakes pass, and nothing else.
func TestSilentSession(t *testing.T) {
	silent := fmt.Errorf("%w: %w", mux.ErrSessionEnded, mux.ErrSilent)
	for _, test := range []struct {
		name   string
		life   time.Duration
		err    error
		limits mux.Config
		broken bool
	}{
		{"silent soon", 30 * time.Second, silent, mux.Config{}, true},
		{"silent later", 2 * time.Minute, silent, mux.Config{}, false},
		{"silent as soon as it shows", 11 * time.Minute, silent, mux.Config{KeepAlive: 10 * time.Minute}, true},
		{"cut", time.Second, fmt.Errorf("%w: cut", mux.ErrSessionEnded), mux.Config{}, false},
		{"closed", time.Second, net.ErrClosed, mux.Config{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, _ := inMemory(t)
				_, carriers := detours(network, works, works)
				m := &fading{Muxer: yamuxmux.New()}
				// A caller that waits for the end of a session may be faster than this.
				resume := make(chan struct{})
				defer close(resume)
				var lost time.Time // when the session began whose end is not to be settled
				client := transport.NewClient("mem://server", nil, carriers, transport.WithMuxes(m), transport.WithLimits(test.limits),
					transport.WithTrace(transport.Trace{ClientGone: func(info transport.Info, _ error) {
						if info.Since.Equal(lost) {
							<-resume
						}
					}}))
				for _, backoff := range []time.Duration{time.Minute, 2 * time.Minute} {
					lis, err := client.DialAndListenContext(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if lis.Info().Carrier != "a" {
						t.Errorf("connected by %s", lis.Info().Carrier)
					}
					lost = lis.Info().Since
					time.Sleep(test.life)
					m.end(test.err)
					info := connectOnce(t, client)
					if broken := info.Carrier != "a"; broken != test.broken {
						t.Errorf("passed over %v, want %v", broken, test.broken)
					}
					if test.broken && !errors.Is(info.Fallback, mux.ErrSilent) {
						t.Errorf("fallback %v, want mux.ErrSilent", info.Fallback)
					}
					time.Sleep(backoff - time.Second)
					if info := connectOnce(t, client); (info.Carrier != "a") != test.broken {
						t.Errorf("connected by %s a second before %v", info.Carrier, backoff)
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

// The last carrier has none after it to fall back to.
func TestSilentLastCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := inMemory(t)
		_, carriers := detours(network, refuses(carrier.ErrScheme), works)
		m := &fading{Muxer: yamuxmux.New()}
		told := new(diary)
		client := transport.NewClient("mem://server", nil, carriers, transport.WithMuxes(m), transport.WithTrace(told.trace()))
		connectOnce(t, client)
		m.end(mux.ErrSilent)
		told.take()
		connectOnce(t, client)
		told.expect(t, "0s a started", "0s a failed", "0s b started", "0s b connected", "0s b gone")
	})
}
