package fleet_test

import (
	"errors"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

// wasReplaced reports whether a client was told that it was.
func wasReplaced(lis *transport.Listener) bool {
	closed, ok := errors.AsType[*transport.ClosedError](lis.Err())
	return ok && closed.Reason == fleet.ErrReplaced.Error()
}

// conflicts expects that a client is not let in.
func (s *site) conflicts(t *testing.T, id string) {
	t.Helper()
	_, err := s.try(t, id, "newcomer")
	if rejected, ok := errors.AsType[*carrier.RejectedError](err); !ok || rejected.StatusCode != http.StatusConflict {
		t.Errorf("another client %s: %v, want status 409", id, err)
	}
	if !transport.Retryable(err) {
		t.Error("the client would not try again")
	}
}

func TestReplaceOlder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		older := s.connect(t, "1", "older")
		synctest.Wait()
		d, _ := s.Lookup("1")
		s.connect(t, "1", "newer")
		<-older.Done()
		if !wasReplaced(older) {
			t.Errorf("the older session ends with %v, want the reason", older.Err())
		}
		<-d.Done()
		synctest.Wait() // its end does not remove its successor
		s.reaches(t, "1", "newer")
		if got, want := s.Stats(), (fleet.Stats{Clients: 1, Sessions: 1, Replaced: 1}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// In TestReplaceFrozen a client's network is gone, and the server does not know.
func TestReplaceFrozen(t *testing.T) {
	for _, policy := range []fleet.Duplicates{fleet.ReplaceOlder, fleet.ReplaceDead} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, fleet.WithDuplicates(policy))
			network := newFrozen(s.network)
			s.connect(t, "1", "older", transport.WithCarriers(network))
			synctest.Wait()
			network.set(true)
			began := time.Now()
			s.connect(t, "1", "newer")
			synctest.Wait()
			s.reaches(t, "1", "newer")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the newer session is there after %v", took)
			}
			network.set(false)
			time.Sleep(time.Minute)
			if got, want := s.Stats(), (fleet.Stats{Clients: 1, Sessions: 1, Replaced: 1}); got != want {
				t.Errorf("stats %+v, want %+v", got, want)
			}
		})
	}
}

func TestReplaceDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.ReplaceDead))
		older := s.connect(t, "1", "older")
		synctest.Wait()
		s.conflicts(t, "1")
		if err := older.Err(); err != nil {
			t.Error("the older session has ended:", err)
		}
		s.reaches(t, "1", "older")
		older.Close()
		synctest.Wait()
		s.connect(t, "1", "newer")
		synctest.Wait()
		s.reaches(t, "1", "newer")
	})
}

// In TestReplaceDeadLate handshakes end before an older session must have answered. The fleet
// does not take the session for dead before that, and lets the next attempt in.
func TestReplaceDeadLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.ReplaceDead))
		s.serve(t, "hasty", transport.WithAuthorize(s.Authorize), transport.WithHandshakeTimeout(3*time.Second))
		network := newFrozen(s.network)
		older := s.connect(t, "1", "older", transport.WithCarriers(network))
		synctest.Wait()
		network.set(true)
		connect := func(opts ...transport.ClientOption) error {
			lis, err := transport.DialAndListenContext(t.Context(), "mem://hasty", http.Header{"Deviceid": {"1"}},
				append(opts, transport.WithCarriers(s.network))...)
			if err == nil {
				t.Cleanup(func() { lis.Close() })
				go answer(lis, "newer")
			}
			return err
		}
		err := connect()
		if rejected, ok := errors.AsType[*carrier.RejectedError](err); !ok || rejected.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("connect: %v, want status 503", err)
		}
		network.set(false)
		time.Sleep(time.Minute)
		s.reaches(t, "1", "older") // it was only slow

		network.set(true)
		began := time.Now()
		if err := connect(transport.WithReconnect(transport.Backoff{})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.reaches(t, "1", "newer")
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the newer session is there after %v", took)
		}
		network.set(false)
		<-older.Done()
	})
}

// In TestReplaceDeadOneByOne a client whose session does not answer connects again and again.
// It must not take all handshakes, which other clients need.
func TestReplaceDeadOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.ReplaceDead))
		s.serve(t, "small", transport.WithAuthorize(s.Authorize), transport.WithMaxHandshakes(2))
		network := newFrozen(s.network)
		s.connect(t, "1", "older", transport.WithCarriers(network))
		synctest.Wait()
		network.set(true)
		defer network.set(false)
		connect := func(id string) error {
			lis, err := transport.DialAndListenContext(t.Context(), "mem://small", http.Header{"Deviceid": {id}}, transport.WithCarriers(s.network))
			if err == nil {
				t.Cleanup(func() { lis.Close() })
				go answer(lis, "newer")
			}
			return err
		}
		first := make(chan error)
		go func() { first <- connect("1") }()
		synctest.Wait()
		err := connect("1")
		if rejected, ok := errors.AsType[*carrier.RejectedError](err); !ok || rejected.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("the client connects twice at a time: %v, want status 503", err)
		}
		if err := connect("2"); err != nil {
			t.Errorf("another client: %v", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the client comes back: %v", err)
		}
		synctest.Wait()
		s.reaches(t, "1", "newer")
	})
}

// In TestReplacedIsForgotten a client's network fails again and again. The fleet must not keep
// the replaced sessions in memory while the client is there.
func TestReplacedIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.ReplaceDead))
		var all []weak.Pointer[transport.Dialer]
		for range 4 {
			network := newFrozen(s.network)
			s.connect(t, "1", "one", transport.WithCarriers(network))
			synctest.Wait()
			d, _ := s.Lookup("1")
			all = append(all, weak.Make(d))
			network.set(len(all) < 4)
		}
		// The runtime may keep a stopped timer until it would have fired: that of
		// WithMaxAge.
		time.Sleep(26 * time.Hour)
		for range 3 {
			runtime.GC()
		}
		for i, d := range all[:3] {
			if d.Value() != nil {
				t.Errorf("session %d of 4 is in memory", i+1)
			}
		}
	})
}

func TestRejectNewer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.RejectNewer))
		network := newFrozen(s.network)
		s.connect(t, "1", "older", transport.WithCarriers(network))
		synctest.Wait()
		s.conflicts(t, "1")
		s.reaches(t, "1", "older")
		network.set(true)
		s.conflicts(t, "1") // until keepalive has found out
		time.Sleep(31 * time.Second)
		s.connect(t, "1", "newer")
		synctest.Wait()
		s.reaches(t, "1", "newer")
		if got, want := s.Stats(), (fleet.Stats{Clients: 1, Sessions: 1, Rejected: 2}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// In TestConflictWhileConnecting two clients with one ID arrive at the same time, when it is
// free. One of them stays.
func TestConflictWhileConnecting(t *testing.T) {
	for _, policy := range []fleet.Duplicates{fleet.ReplaceOlder, fleet.ReplaceDead, fleet.RejectNewer} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, fleet.WithDuplicates(policy))
			// Nobody has been asked yet when they are let in.
			s.serve(t, "late")
			const clients = 10
			connected := make(chan *transport.Listener, clients)
			for range clients {
				go func() {
					lis, err := transport.DialAndListenContext(t.Context(), "mem://late", http.Header{"Deviceid": {"1"}}, transport.WithCarriers(s.network))
					if err != nil {
						t.Error(err)
					}
					connected <- lis
				}()
			}
			alive := 0
			var all []*transport.Listener
			for range clients {
				lis := <-connected
				defer lis.Close()
				all = append(all, lis)
			}
			time.Sleep(time.Minute)
			for _, lis := range all {
				if lis.Err() == nil {
					alive++
				} else if closed, ok := errors.AsType[*transport.ClosedError](lis.Err()); !ok || closed.Reason == "" {
					t.Errorf("a client ends with %v, want a reason", lis.Err())
				}
			}
			got := s.Stats()
			if alive != 1 || got.Clients != 1 || got.Sessions != 1 || got.Replaced+got.Rejected != clients-1 {
				t.Errorf("%d clients are left, stats %+v", alive, got)
			}
		})
	}
}

func TestKeepAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.KeepAll))
		names := []string{"one", "two", "three"}
		listeners := make(map[string]*transport.Listener)
		for _, name := range names {
			listeners[name] = s.connect(t, "1", name)
		}
		synctest.Wait()
		counts := make(map[string]int)
		for range 30 { // which stay open
			_, name := s.dial(t, "1")
			counts[name]++
		}
		for _, name := range names {
			if counts[name] != 10 {
				t.Errorf("%s has %d of 30 connections", name, counts[name])
			}
		}
		sessions := 0
		for range s.All() {
			sessions++
		}
		if sessions != 3 || s.Len() != 1 {
			t.Errorf("%d sessions of %d clients, want 3 of 1", sessions, s.Len())
		}
		listeners["two"].Close()
		synctest.Wait()
		for range 10 {
			if _, name := s.dial(t, "1"); name == "two" {
				t.Error("a session that is over was dialled")
			}
		}
	})
}

// TestSessionsPerClient connects one client after the other with the same ID, with and without
// Authorize, until the server lets no more in. A session that ends makes room.
func TestSessionsPerClient(t *testing.T) {
	for most, want := range map[int]int{0: 64, 3: 3, -1: 200} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, fleet.WithDuplicates(fleet.KeepAll), fleet.WithSessionsPerClient(most))
			s.serve(t, "late")
			connect := func(url string) *transport.Listener {
				lis, err := transport.DialAndListenContext(t.Context(), url, http.Header{"Deviceid": {"1"}}, transport.WithCarriers(s.network))
				if rejected, ok := errors.AsType[*carrier.RejectedError](err); ok && rejected.StatusCode == http.StatusConflict {
					return nil
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { lis.Close() })
				synctest.Wait()
				return lis
			}
			var last *transport.Listener
			sessions := 0
			for range 200 {
				if lis := connect("mem://server"); lis != nil {
					last = lis
					sessions++
				}
			}
			if sessions != want || s.Stats().Sessions != want {
				t.Fatalf("%d: %d sessions, stats %+v, want %d", most, sessions, s.Stats(), want)
			}
			if most < 0 {
				return
			}
			late := connect("mem://late") // let in, and closed when it is identified
			if closed, ok := errors.AsType[*transport.ClosedError](late.Err()); !ok || closed.Reason == "" {
				t.Errorf("%d: one more session ends with %v, want a reason", most, late.Err())
			}
			last.Close()
			synctest.Wait()
			if connect("mem://server") == nil {
				t.Errorf("%d: there is no room after a session has ended", most)
			}
		})
	}
}

// TestMoving asks a client to move: it has two sessions, which is no conflict.
func TestMoving(t *testing.T) {
	for _, policy := range []fleet.Duplicates{fleet.ReplaceOlder, fleet.ReplaceDead, fleet.RejectNewer, fleet.KeepAll} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, fleet.WithDuplicates(policy))
			lis := s.connect(t, "1", "one", transport.WithReconnect(transport.Backoff{}))
			synctest.Wait()
			running, _ := s.dial(t, "1")
			d, _ := s.Lookup("1")
			moved := make(chan error, 1)
			go func() { moved <- d.Shutdown(t.Context()) }()
			<-d.Draining()
			synctest.Wait()
			next, ok := s.Lookup("1")
			if !ok || next == d {
				t.Fatalf("policy %d: after the move the client is %v", policy, next)
			}
			s.reaches(t, "1", "one")
			if err := d.Err(); err != nil {
				t.Errorf("policy %d: the session that was left has ended: %v", policy, err)
			}
			running.Close()
			if err := <-moved; err != nil {
				t.Error(err)
			}
			s.reaches(t, "1", "one")
			if got, want := s.Stats(), (fleet.Stats{Clients: 1, Sessions: 1}); got != want {
				t.Errorf("policy %d: stats %+v, want %+v", policy, got, want)
			}
			lis.Close()
		})
	}
}

// TestStays asks a client that cannot move to do so for its age. A newcomer is then not
// its next session, but a conflict.
func TestStays(t *testing.T) {
	for _, policy := range []fleet.Duplicates{fleet.ReplaceOlder, fleet.ReplaceDead, fleet.RejectNewer} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, fleet.WithDuplicates(policy))
			older := s.connect(t, "1", "older")
			time.Sleep(25 * time.Hour)
			if policy == fleet.ReplaceOlder {
				s.connect(t, "1", "newer")
				time.Sleep(time.Second)
				if !wasReplaced(older) {
					t.Errorf("the older session ends with %v, want the reason", older.Err())
				}
				return
			}
			s.conflicts(t, "1")
			s.reaches(t, "1", "older")
		})
	}
}

// In TestLostRace a client soon closes a session, as it does with the session of the
// slower carrier.
func TestLostRace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		winner := s.connect(t, "1", "winner")
		synctest.Wait()
		network := newFrozen(s.network)
		network.set(true) // so that it does not answer
		loser := s.connect(t, "1", "loser", transport.WithCarriers(network))
		time.Sleep(time.Second)
		loser.Close()
		time.Sleep(time.Minute)
		if err := winner.Err(); err != nil {
			t.Error("the session in use was displaced:", err)
		}
		s.reaches(t, "1", "winner")
	})
}

// In TestLeavingNewcomer the newer session answers pings, and is about to leave.
func TestLeavingNewcomer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		older := s.connect(t, "1", "older")
		synctest.Wait()
		other := transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) {
			c, err := d.Dial() // which keeps the session
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			<-d.Draining()
			s.HandleEndpoint(d)
		}), transport.WithCarriers(s.network), transport.WithAuthorize(s.Authorize))
		e, err := s.network.Listen("other", nil, other)
		if err != nil {
			t.Fatal(err)
		}
		go e.Serve()
		defer e.Close()
		defer other.Close()
		lis, err := transport.DialAndListenContext(t.Context(), "mem://other", http.Header{"Deviceid": {"1"}}, transport.WithCarriers(s.network))
		if err != nil {
			t.Fatal(err)
		}
		go answer(lis, "newer")
		synctest.Wait()
		if err := lis.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := older.Err(); err != nil {
			t.Error("the session in use was displaced:", err)
		}
		s.reaches(t, "1", "older")
	})
}

// In TestOvertaken a session answers when a newer one is in the fleet already.
func TestOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.connect(t, "1", "first")
		synctest.Wait()
		network := newFrozen(s.network)
		network.set(true)
		slow := s.connect(t, "1", "slow", transport.WithCarriers(network))
		time.Sleep(time.Second)
		s.connect(t, "1", "newest")
		synctest.Wait()
		network.set(false)
		<-slow.Done()
		if !wasReplaced(slow) {
			t.Errorf("the slow session ends with %v, want the reason", slow.Err())
		}
		s.reaches(t, "1", "newest")
	})
}

// In TestSpeechless a newer session answers no pings. The fleet lets it in after a while.
func TestSpeechless(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.connect(t, "1", "older")
		synctest.Wait()
		network := newFrozen(s.network)
		network.set(true)
		s.connect(t, "1", "newer", transport.WithCarriers(network))
		time.Sleep(6 * time.Second)
		network.set(false)
		s.reaches(t, "1", "newer")
	})
}

// In TestSeveralServers one fleet holds the clients of two servers.
func TestSeveralServers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.serve(t, "other", transport.WithAuthorize(s.Authorize))
		older := s.connect(t, "1", "here")
		synctest.Wait()
		lis, err := transport.DialAndListen("mem://other", http.Header{"Deviceid": {"1"}}, transport.WithCarriers(s.network))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		go answer(lis, "there")
		<-older.Done()
		s.reaches(t, "1", "there")
	})
}
