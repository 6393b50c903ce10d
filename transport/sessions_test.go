package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/transport"
)

// In TestSessionsSpread a client has a session to each of three servers. A server that has one
// already refuses before it asks who the client is, and the client goes on.
func TestSessionsSpread(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		var asked, refused atomic.Int64
		authorize := transport.WithAuthorize(func(*http.Request) error { asked.Add(1); return nil })
		failed := transport.WithTrace(transport.Trace{HandshakeFailed: func(_ *http.Request, err error) {
			refused.Add(1)
			if !errors.Is(err, transport.ErrAlreadyConnected) || !rejectedWith(http.StatusMisdirectedRequest)(err) {
				t.Errorf("handshake failed: %v, want transport.ErrAlreadyConnected and status 421", err)
			}
		}})
		one, two, three := b.add(t, "one", authorize, failed), b.add(t, "two", authorize, failed), b.add(t, "three", authorize, failed)
		b.lead(one, one, two, one, two, three)
		lis, told := b.listen(t, 3)
		for _, r := range []*replica{one, two, three} {
			d := <-r.dialers
			if got := d.Info().Server; got != r.id {
				t.Errorf("server %q takes itself for %q", r.id, got)
			}
			dialled(t, d, r.id)
			accepted(t, lis, r.id)
		}
		time.Sleep(time.Hour)
		if got, want := serversOf(lis), []string{"one", "two", "three"}; !slices.Equal(got, want) {
			t.Errorf("sessions to %q, want %q", got, want)
		}
		if asked.Load() != 3 || refused.Load() != 3 || b.site.count() != 6 {
			t.Errorf("%d requests, of which %d were refused and %d authorized; want 6, 3 and 3",
				b.site.count(), refused.Load(), asked.Load())
		}
		if got, want := told.states(), []transport.State{connected}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// In TestSessionsAskOthers the client names the servers of its sessions, beside the
// application's header, and sends nothing when it has none.
func TestSessionsAskOthers(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		var lists []string
		b.through(func(server http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				lists = append(lists, strings.Join(r.Header["Backdial-Connected"], ";")+" "+r.Header.Get("Token"))
				server.ServeHTTP(w, r)
			})
		})
		one, two, three := b.add(t, "1"), b.add(t, "2"), b.add(t, "3")
		header := http.Header{"Token": {"x"}}
		b.listen(t, 3, transport.WithHeaderFunc(func(context.Context) (http.Header, error) { return header, nil }))
		<-one.dialers
		second := <-two.dialers
		<-three.dialers
		synctest.Wait()
		b.lead(two)
		second.Close()
		<-two.dialers
		if got, want := strings.Join(lists, "\n"), " x\n1 x\n1, 2 x\n1, 3 x"; got != want {
			t.Errorf("the requests say\n%s\nwant\n%s", got, want)
		}
		if len(header) != 1 {
			t.Errorf("the user's header is now %v", header)
		}
	})
}

// In TestSessionsNeedID some servers, or all, have no ID. A client with a session to such a
// server makes no other.
func TestSessionsNeedID(t *testing.T) {
	t.Run("none has one", func(t *testing.T) {
		balances(t, func(t *testing.T, b *balancer) {
			b.add(t, "")
			b.add(t, "")
			lis, _ := b.listen(t, 2)
			time.Sleep(time.Hour)
			if n := len(lis.Sessions()); n != 1 || b.site.count() != 1 {
				t.Errorf("%d sessions after %d requests, want one", n, b.site.count())
			}
		})
	})
	t.Run("one has none", func(t *testing.T) {
		balances(t, func(t *testing.T, b *balancer) {
			one, nobody := b.add(t, "one"), b.add(t, "")
			lis, _ := b.listen(t, 3)
			first, second := <-one.dialers, <-nobody.dialers
			first.Close()
			time.Sleep(time.Hour)
			if got := serversOf(lis); !slices.Equal(got, []string{""}) || b.site.count() != 2 {
				t.Errorf("sessions to %q after %d requests, want one to a server of no ID", got, b.site.count())
			}
			b.lead(one, one, nobody)
			began := time.Now()
			second.Close() // now there is nothing that another session could be in the way of
			<-one.dialers
			if took := time.Since(began); took > time.Millisecond {
				t.Errorf("the client waited for %v more", took)
			}
			<-nobody.dialers
		})
	})
}

// TestSessionsMoreThanServers looks for a third server, at the pace of the backoff, and
// finds one when there is one.
func TestSessionsMoreThanServers(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		lis, told := b.listen(t, 8)
		<-two.dialers
		synctest.Wait()
		for range 6 { // sessions that come back are no reason to look for more at a time
			(<-one.dialers).Close()
		}
		time.Sleep(time.Hour)
		before := b.site.count()
		time.Sleep(time.Hour)
		if n := b.site.count() - before; n < 150 || n > 400 { // 15 s on average
			t.Errorf("%d requests in an hour, want some 240", n)
		}
		if got, want := serversOf(lis), []string{"two", "one"}; !slices.Equal(got, want) {
			t.Errorf("sessions to %q, want %q", got, want)
		}
		three := b.add(t, "three")
		began := time.Now()
		<-three.dialers
		if took := time.Since(began); took > 3*30*time.Second {
			t.Errorf("a server that was added had its session after %v", took)
		}
		if got, want := told.states(), []transport.State{connected}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// TestSessionsLost loses one of two sessions: Accept goes on with the other, nothing of
// it is told, and the one that was lost comes back.
func TestSessionsLost(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		lis, told := b.listen(t, 2)
		replicas, dialers := []*replica{one, two}, []*transport.Dialer{<-one.dialers, <-two.dialers}
		time.Sleep(time.Minute)
		for i := range replicas {
			lost, other := replicas[i], dialers[1-i]
			b.site.answer(status(http.StatusServiceUnavailable, ""))
			dialers[i].Close()
			time.Sleep(time.Minute)
			dialled(t, other, "still")
			accepted(t, lis, "still")
			if n := len(lis.Sessions()); n != 1 {
				t.Errorf("%d sessions, want one", n)
			}
			b.site.answer(b.ServeHTTP)
			dialers[i] = <-lost.dialers
			dialled(t, dialers[i], "back")
			accepted(t, lis, "back")
		}
		if got, want := told.states(), []transport.State{connected}; !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// TestSessionsAllLost is told of that: the listener has no session, and then one.
func TestSessionsAllLost(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		lis, told := b.listen(t, 2)
		first, second := <-one.dialers, <-two.dialers
		time.Sleep(time.Minute)
		b.site.answer(status(http.StatusServiceUnavailable, ""))
		first.Close()
		second.Close()
		time.Sleep(time.Minute)
		b.site.answer(b.ServeHTTP)
		<-one.dialers
		<-two.dialers
		synctest.Wait()
		got := slices.Compact(told.states())
		middle := slices.DeleteFunc(slices.Clone(got), func(s transport.State) bool { return s == waiting || s == connecting })
		if !slices.Equal(middle, []transport.State{connected, connected}) || len(got) < 4 || got[1] != waiting || got[len(got)-2] != connecting {
			t.Errorf("states %v, want to be connected, waiting and connecting, and connected once more", got)
		}
		if n := len(lis.Sessions()); n != 2 {
			t.Errorf("%d sessions, want two", n)
		}
	})
}

// In TestSessionsTurn the first attempt fails so that its session waits for long. The other
// session does not wait for that.
func TestSessionsTurn(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		b.listen(t, 2)
		first, second := <-one.dialers, <-two.dialers
		time.Sleep(time.Minute)
		b.site.answer(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second) // in which the other comes to wait for its turn
			b.site.answer(b.ServeHTTP)
			status(http.StatusServiceUnavailable, "600")(w, r)
		})
		began := time.Now()
		first.Close()
		second.Close()
		select {
		case <-one.dialers:
		case <-two.dialers:
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("the client was back after %v", took)
		}
	})
}

// In TestSessionsRefused one server refuses the client. The client gives that session up, and
// the listener ends when there is no other.
func TestSessionsRefused(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one := b.add(t, "one")
		b.add(t, "two", transport.WithAuthorize(func(*http.Request) error { return transport.ErrForbidden }))
		lis, told := b.listen(t, 3)
		first := <-one.dialers
		time.Sleep(time.Hour)
		if got := serversOf(lis); !slices.Equal(got, []string{"one"}) || b.site.count() != 2 {
			t.Errorf("sessions to %q after %d requests, want one after two", got, b.site.count())
		}
		b.lead(one)
		first.Close()
		second := <-one.dialers
		dialled(t, second, "back")
		accepted(t, lis, "back")
		b.site.answer(verdict(http.StatusForbidden))
		second.Close()
		if _, err := lis.Accept(); !rejectedWith(http.StatusForbidden)(err) {
			t.Errorf("accept: %v, want a refusal", err)
		}
		if got := told.states(); got[len(got)-1] != ended {
			t.Errorf("states %v, want to have ended", got)
		}
	})
}

// In TestSessionsRefusedWhileAway one session is refused for good when there is no other. The
// listener does not end, because another is still tried.
func TestSessionsRefusedWhileAway(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		one, two := b.add(t, "one"), b.add(t, "two")
		lis, told := b.listen(t, 2)
		first, second := <-one.dialers, <-two.dialers
		time.Sleep(time.Minute)
		b.lead(one)
		b.site.answer(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second) // in which the other comes to wait for its turn
			b.site.answer(b.ServeHTTP)
			verdict(http.StatusForbidden)(w, r)
		})
		first.Close()
		second.Close()
		dialled(t, <-one.dialers, "back")
		accepted(t, lis, "back")
		time.Sleep(time.Hour)
		if got := serversOf(lis); !slices.Equal(got, []string{"one"}) || b.site.count() != 4 {
			t.Errorf("sessions to %q after %d requests, want one after four", got, b.site.count())
		}
		if got := told.states(); slices.Contains(got, ended) || got[len(got)-1] != connected {
			t.Errorf("states %v, want to be connected in the end", got)
		}
	})
}

// In TestSessionsTwice a proxy loses what the client says about its sessions, so that it has
// two to one server. It gives the second up, and tries again less and less often, because the
// server may take that for its return. It has two sessions when there are two servers.
func TestSessionsTwice(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		b.through(func(server http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Backdial-Connected")
				server.ServeHTTP(w, r)
			})
		})
		one := b.add(t, "one")
		gone := make(chan error, 100)
		lis, told := b.listen(t, 2, transport.WithTrace(transport.Trace{ClientGone: func(_ transport.Info, err error) { gone <- err }}))
		kept, extra := <-one.dialers, <-one.dialers // the handlers may run in any order
		if err := <-gone; !errors.Is(err, transport.ErrAlreadyConnected) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("gone: %v, want transport.ErrAlreadyConnected and net.ErrClosed", err)
		}
		select {
		case <-extra.Done():
		case <-kept.Done():
			kept = extra
		}
		time.Sleep(time.Hour)
		if n := b.site.count(); n < 12 || n > 30 {
			t.Errorf("%d requests in an hour, want one in 2½ to 5 min", n)
		}
		if n := len(lis.Sessions()); n != 1 {
			t.Errorf("%d sessions to one server", n)
		}
		for _, c := range told.take() {
			if c.To != connected || c.From == connected && (c.Refused == 0 || !errors.Is(c.Err, transport.ErrAlreadyConnected)) {
				t.Errorf("change %+v, want to stay connected, and to be told of what is in vain", c)
			}
		}
		dialled(t, kept, "still")
		accepted(t, lis, "still")
		two := b.add(t, "two")
		b.lead(two)
		<-two.dialers
		time.Sleep(time.Minute)
		if got, want := serversOf(lis), []string{"one", "two"}; !slices.Equal(got, want) {
			t.Errorf("sessions to %q, want %q", got, want)
		}
	})
}

// TestSessionsDial opens connections to servers: in the latest session that takes any.
func TestSessionsDial(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		at := make(chan string, 10)
		answers := transport.WithAcceptFromClient(func(d *transport.Dialer, c net.Conn) {
			at <- d.Info().Server
			echo(d, c)
		})
		one, two := b.add(t, "one", answers), b.add(t, "two", answers)
		lis, _ := b.listen(t, 2)
		<-one.dialers
		second := <-two.dialers
		synctest.Wait()
		expect := func(want string) {
			t.Helper()
			echoes(t, lis, 1000)
			if got := <-at; got != want {
				t.Errorf("dialled %q, want %q", got, want)
			}
		}
		expect("two")
		dialled(t, second, "running")
		accepted(t, lis, "running")
		b.site.answer(status(http.StatusServiceUnavailable, ""))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go second.Shutdown(ctx)
		time.Sleep(time.Minute) // it waits for that connection, and takes no other
		if n := len(lis.Sessions()); n != 2 {
			t.Errorf("%d sessions, want two", n)
		}
		expect("one")
		second.Close()
		synctest.Wait()
		expect("one")
		b.site.answer(b.ServeHTTP)
		<-two.dialers
		synctest.Wait()
		expect("two")
	})
}

// TestSessionsOptions refuses numbers that make no sense.
func TestSessionsOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		want string // in the error
		opts []transport.ClientOption
	}{
		{"without reconnecting", "needs WithReconnect", []transport.ClientOption{transport.WithSessions(2)}},
		{"too many", "1 to 8", []transport.ClientOption{transport.WithSessions(9), transport.WithReconnect(transport.Backoff{})}},
		{"negative", "1 to 8", []transport.ClientOption{transport.WithSessions(-1)}},
		{"one", "", []transport.ClientOption{transport.WithSessions(1)}},
		{"the default", "", []transport.ClientOption{transport.WithSessions(0)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				lis, err := transport.DialAndListenContext(t.Context(), "mem://server", nil, append(test.opts, transport.WithCarriers(s.network))...)
				if err == nil {
					lis.Close()
				}
				if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
			})
		})
	}
}

// TestServerIDOption panics for what is not an ID.
func TestServerIDOption(t *testing.T) {
	for _, id := range []string{"", "a b", "a,b", ".a", "ä", "a\r\nb", strings.Repeat("x", 129)} {
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Errorf("%q is taken for an ID", id)
				}
			}()
			transport.WithServerID(id)
		}()
	}
	transport.WithServerID(strings.Repeat("x", 128))
}
