package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

const (
	headStart = 300 * time.Millisecond // the default
	timeout   = 10 * time.Second       // the default
)

// A way is what becomes of a Dial, of which dial is the rest.
type way func(ctx context.Context, dial dialCarrier) (carrier.Conn, error)

type dialCarrier func(context.Context) (carrier.Conn, error)

func works(ctx context.Context, dial dialCarrier) (carrier.Conn, error) { return dial(ctx) }

// blackHole never answers.
func blackHole(ctx context.Context, _ dialCarrier) (carrier.Conn, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("black hole: %w", context.Cause(ctx))
}

// refuses fails at once.
func refuses(err error) way {
	return func(context.Context, dialCarrier) (carrier.Conn, error) { return nil, fmt.Errorf("refuses: %w", err) }
}

// slowly takes d before it goes on, unless ctx ends.
func slowly(d time.Duration, w way) way {
	return func(ctx context.Context, dial dialCarrier) (carrier.Conn, error) {
		select {
		case <-time.After(d):
			return w(ctx, dial)
		case <-ctx.Done():
			return blackHole(ctx, nil)
		}
	}
}

func slow(d time.Duration) way { return slowly(d, works) }

// late connects after a while, whether anybody still wants it or not.
func late(d time.Duration) way {
	return func(ctx context.Context, dial dialCarrier) (carrier.Conn, error) {
		time.Sleep(d)
		return dial(context.WithoutCancel(ctx))
	}
}

// A detour is a carrier with a way of its own.
type detour struct {
	carrier.Carrier
	name string

	mu  sync.Mutex
	way way
}

func (c *detour) Name() string { return c.name }

func (c *detour) set(w way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.way = w
}

func (c *detour) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	c.mu.Lock()
	w := c.way
	c.mu.Unlock()
	return w(ctx, func(ctx context.Context) (carrier.Conn, error) { return c.Carrier.Dial(ctx, r) })
}

// detours returns carriers called a, b and so on.
func detours(by carrier.Carrier, ways ...way) (all []*detour, option transport.ClientOption) {
	var carriers []carrier.Carrier
	for i, w := range ways {
		d := &detour{Carrier: by, name: string(rune('a' + i)), way: w}
		all, carriers = append(all, d), append(carriers, d)
	}
	return all, transport.WithCarriers(carriers...)
}

// A diary is what a Trace was told, and when.
type diary struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	d.lines = append(d.lines, fmt.Sprintf("%v %s", time.Since(d.start).Round(time.Millisecond), line))
}

// take returns the lines since the last call, and begins a new page.
func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.start, d.lines = time.Now(), nil
	return lines
}

func (d *diary) trace() transport.Trace {
	return transport.Trace{
		DialPassedOver: func(carrier string, until time.Time, err error) {
			d.add("%s passed over for %v", carrier, time.Until(until).Round(time.Second))
		},
		DialStarted: func(carrier string) { d.add("%s started", carrier) },
		DialFailed: func(carrier string, err error) {
			if errors.Is(err, transport.ErrLostRace) {
				d.add("%s lost", carrier)
			} else {
				d.add("%s failed", carrier)
			}
		},
		ClientConnected: func(i transport.Info) { d.add("%s connected", i.Carrier) },
		ClientGone:      func(i transport.Info, _ error) { d.add("%s gone", i.Carrier) },
	}
}

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := d.take(); !slices.Equal(got, want) {
		t.Errorf("events\n\t%q, want\n\t%q", got, want)
	}
}

// inMemory serves mem://server until t is done. Sessions of the server are
// written into the diary.
func inMemory(t *testing.T) (*mem.Carrier, *diary) {
	network, told := mem.New(), new(diary)
	server := serverFunc(t, nil, transport.WithCarriers(network), transport.WithTrace(told.trace()))
	server.Addr = "server"
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; err != transport.ErrServerClosed {
			t.Errorf("ListenAndServe: %v", err)
		}
	})
	synctest.Wait()
	told.take()
	return network, told
}

// TestRace has virtual time, in which connecting takes none.
func TestRace(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		name     string
		ways     []way
		opts     []transport.ClientOption
		took     time.Duration
		events   []string
		fallback string // a pattern
		err      string // a pattern
	}{{
		name:   "first",
		ways:   []way{works, works},
		events: []string{"0s a started", "0s a connected"},
	}, {
		name:     "black hole",
		ways:     []way{blackHole, works, works},
		took:     headStart,
		events:   []string{"0s a started", "300ms b started", "300ms a lost", "300ms b connected"},
		fallback: `a: dial mem://server: no session within 300ms: another carrier was first`,
	}, {
		name:     "two black holes",
		ways:     []way{blackHole, blackHole, works},
		took:     2 * headStart,
		events:   []string{"0s a started", "300ms b started", "600ms c started", "600ms a lost", "600ms b lost", "600ms c connected"},
		fallback: `a: dial .* within 600ms: another carrier was first; b: dial .* within 300ms: another carrier was first`,
	}, {
		name:     "refused",
		ways:     []way{refuses(syscall.ECONNREFUSED), works},
		events:   []string{"0s a started", "0s a failed", "0s b started", "0s b connected"},
		fallback: `refuses: connection refused`,
	}, {
		name:     "refused while the second is slow",
		ways:     []way{slowly(100*time.Millisecond, refuses(syscall.ECONNREFUSED)), slow(second), slow(second)},
		took:     second + 100*time.Millisecond,
		events:   []string{"0s a started", "100ms a failed", "100ms b started", "400ms c started", "1.1s c lost", "1.1s b connected"},
		fallback: `refuses: connection refused`,
	}, {
		name:   "slow, but faster than the second",
		ways:   []way{slow(second), slow(second)},
		took:   second,
		events: []string{"0s a started", "300ms b started", "1s b lost", "1s a connected"},
	}, {
		name:     "another head start",
		ways:     []way{blackHole, works},
		opts:     []transport.ClientOption{transport.WithHeadStart(2 * second)},
		took:     2 * second,
		events:   []string{"0s a started", "2s b started", "2s a lost", "2s b connected"},
		fallback: `a: dial mem://server: no session within 2s: another carrier was first`,
	}, {
		name:     "a turn for all, however long the head start",
		ways:     []way{blackHole, works},
		opts:     []transport.ClientOption{transport.WithHeadStart(time.Hour)},
		took:     timeout / 2,
		events:   []string{"0s a started", "5s b started", "5s a lost", "5s b connected"},
		fallback: `a: dial mem://server: no session within 5s: another carrier was first`,
	}, {
		name:   "no answer at all",
		ways:   []way{blackHole, blackHole},
		took:   timeout,
		events: []string{"0s a started", "300ms b started", "10s a failed", "10s b failed"},
		err:    `transport: no session within 10s: black hole: context deadline exceeded; no session within 10s: black hole: context deadline exceeded`,
	}, {
		name:   "all fail",
		ways:   []way{refuses(syscall.ECONNREFUSED), refuses(carrier.ErrScheme)},
		events: []string{"0s a started", "0s a failed", "0s b started", "0s b failed"},
		err:    `transport: refuses: connection refused; refuses: unsupported URL scheme`,
	}, {
		name:   "one refuses, and one does not heed its context",
		ways:   []way{refuses(syscall.ECONNREFUSED), late(time.Minute)},
		took:   timeout + second,
		events: []string{"0s a started", "0s a failed", "0s b started", "11s b failed"},
		err:    `transport: refuses: connection refused; no session within 10s: b: dial mem://server: context deadline exceeded`,
	}, {
		name:   "a carrier that does not heed its context",
		ways:   []way{late(time.Minute)},
		took:   timeout + second,
		events: []string{"0s a started", "11s a failed"},
		err:    `transport: no session within 10s: a: dial mem://server: context deadline exceeded`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, _ := inMemory(t)
				_, carriers := detours(network, test.ways...)
				told := new(diary)
				told.take()
				opts := append(test.opts, carriers, transport.WithTrace(told.trace()))
				start := time.Now()
				lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, opts...)
				if took := time.Since(start); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				// Events of the same moment on several goroutines come in any order.
				got := told.take()
				slices.Sort(got)
				want := slices.Clone(test.events)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("events\n\t%q, want\n\t%q", got, want)
				}
				if test.err != "" {
					if err == nil || !regexp.MustCompile("^"+test.err+"$").MatchString(err.Error()) {
						t.Errorf("error\n\t%v, want\n\t%s", err, test.err)
					}
					time.Sleep(time.Hour)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				fallback := ""
				if f := lis.Info().Fallback; f != nil {
					fallback = f.Error()
				}
				if !regexp.MustCompile("^" + test.fallback + "$").MatchString(fallback) {
					t.Errorf("fallback\n\t%s, want\n\t%s", fallback, test.fallback)
				}
				lis.Close()
			})
		})
	}
}

// With no head start all are tried at once, and losing means nothing.
func TestNoHeadStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := inMemory(t)
		ways, carriers := detours(network, slow(200*time.Millisecond), slow(100*time.Millisecond))
		told := new(diary)
		client := transport.NewClient("mem://server", nil, carriers, transport.WithHeadStart(-1), transport.WithTrace(told.trace()))
		for range 2 {
			if info := connectOnce(t, client); info.Carrier != "b" || !errors.Is(info.Fallback, transport.ErrLostRace) {
				t.Errorf("connected by %s, fallback %v", info.Carrier, info.Fallback)
			}
		}
		for _, line := range told.take() {
			if regexp.MustCompile("passed over").MatchString(line) {
				t.Error(line)
			}
		}
		ways[0].set(works)
		if info := connectOnce(t, client); info.Carrier != "a" || info.Fallback != nil {
			t.Errorf("connected by %s, fallback %v", info.Carrier, info.Fallback)
		}
	})
}

// TestLateLoser has a carrier that connects after another won.
func TestLateLoser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, server := inMemory(t)
		_, carriers := detours(network, late(time.Second), works)
		client := new(diary)
		client.take()
		lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, carriers, transport.WithTrace(client.trace()))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		server.expect(t, "300ms mem connected")
		time.Sleep(time.Minute)
		server.expect(t, "700ms mem connected", "700ms mem gone")
		client.expect(t, "0s a started", "300ms b started", "300ms a lost", "300ms b connected")
		lis.Close()
	})
}

// TestLateLoserOverTCP is the same with sockets.
func TestLateLoserOverTCP(t *testing.T) {
	leak.Check(t)
	connected, gone := make(chan transport.Info, 10), make(chan transport.Info, 10)
	server := httptest.NewServer(serverFunc(t, nil, transport.WithTrace(transport.Trace{
		ClientConnected: func(i transport.Info) { connected <- i },
		ClientGone:      func(i transport.Info, _ error) { gone <- i },
	})))
	defer server.Close()
	release := make(chan struct{})
	_, carriers := detours(ws.New(), func(ctx context.Context, dial dialCarrier) (carrier.Conn, error) {
		<-release
		return dial(context.WithoutCancel(ctx))
	}, works)
	told := new(diary)
	lis, err := transport.DialAndListenContext(within(t), server.URL, nil, carriers,
		transport.WithHeadStart(time.Millisecond), transport.WithTrace(told.trace()))
	if err != nil {
		t.Fatal(err)
	}
	winner := await(t, "session", connected)
	close(release)
	loser := await(t, "session of the loser", connected)
	if left := await(t, "end of the loser", gone); left.RemoteAddr.String() != loser.RemoteAddr.String() {
		t.Errorf("%v has left, want %v", left.RemoteAddr, loser.RemoteAddr)
	}
	if got := lis.Addr().String(); got != winner.RemoteAddr.String() || lis.Err() != nil {
		t.Errorf("listener at %v, %v; the winner is at %v", got, lis.Err(), winner.RemoteAddr)
	}
	for _, line := range told.take() {
		if regexp.MustCompile("a connected|gone").MatchString(line) {
			t.Error("the client was told:", line)
		}
	}
	lis.Close()
	await(t, "end of the winner", gone)
}

// TestGivenUp ends the race from outside.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := inMemory(t)
		ways, carriers := detours(network, blackHole, blackHole)
		told := new(diary)
		client := transport.NewClient("mem://server", nil, carriers, transport.WithTrace(told.trace()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.DialAndListenContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		_, err := client.DialAndListenContext(ctx)
		if want := "transport: dial mem://server: context deadline exceeded"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		ways[0].set(works)
		if info := connectOnce(t, client); info.Carrier != "a" {
			t.Errorf("connected by %s: what was given up is held against a", info.Carrier)
		}
	})
}

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

// TestBrokenPath has a carrier that does not work for days, and then does.
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

// TestHosts has a carrier that does not work for one host.
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

// TestSilentSession has a path that lets handshakes pass, and nothing else.
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
				// Who waits for the end of a session may be faster than this.
				resume := make(chan struct{})
				defer close(resume)
				client := transport.NewClient("mem://server", nil, carriers, transport.WithMuxes(m), transport.WithLimits(test.limits),
					transport.WithTrace(transport.Trace{ClientGone: func(transport.Info, error) { <-resume }}))
				for _, backoff := range []time.Duration{time.Minute, 2 * time.Minute} {
					lis, err := client.DialAndListenContext(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if lis.Info().Carrier != "a" {
						t.Errorf("connected by %s", lis.Info().Carrier)
					}
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

// A lingering is a carrier that looks at its request long after it has lost.
type lingering struct {
	carrier.Carrier
	release chan struct{}
	header  chan string
}

func (c lingering) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	<-c.release
	c.header <- r.Header.Get("DeviceId")
	return nil, ctx.Err()
}

func TestHeaderOfLoser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, _ := inMemory(t)
		c := lingering{mem.New(), make(chan struct{}), make(chan string, 1)}
		header := http.Header{"Deviceid": {"123"}}
		lis, err := transport.DialAndListenContext(t.Context(), "mem://server", header, transport.WithCarriers(c, network))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		header.Set("DeviceId", "456")
		close(c.release)
		if got := <-c.header; got != "123" {
			t.Errorf("the header changed to %s", got)
		}
	})
}

// TestClientConcurrently connects many times at once, with sockets.
func TestClientConcurrently(t *testing.T) {
	leak.Check(t)
	srv := httptest.NewServer(serverFunc(t, nil))
	defer srv.Close()
	ways, carriers := detours(ws.New(), blackHole, works)
	header := http.Header{"DeviceId": {"123"}}
	client := transport.NewClient(srv.URL, header, carriers, transport.WithHeadStart(5*time.Millisecond))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if i == 10 {
				ways[0].set(works)
			}
			lis, err := client.DialAndListenContext(within(t))
			if err != nil {
				t.Error(err)
				return
			}
			lis.Close()
		})
	}
	all.Wait()
	header.Set("DeviceId", "456") // which nobody looks at any more
}
