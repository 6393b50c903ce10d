package transport_test

import (
	"context"
	"errors"
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
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/transport"
)

// TestRace uses virtual time, in which connecting takes none.
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

// In TestLateLoser a carrier connects after another won.
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
	winner := await.From(t, "session", connected)
	close(release)
	loser := await.From(t, "session of the loser", connected)
	if left := await.From(t, "end of the loser", gone); left.RemoteAddr.String() != loser.RemoteAddr.String() {
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
	await.From(t, "end of the winner", gone)
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
			t.Errorf("connected by %s: an attempt that was given up counts against a", info.Carrier)
		}
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
