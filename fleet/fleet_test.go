package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

func TestDial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		for _, id := range []string{"1", "device-2.example", "Three_~"} {
			s.connect(t, id, "client-"+id)
		}
		synctest.Wait()
		for _, id := range []string{"1", "device-2.example", "Three_~"} {
			s.reaches(t, id, "client-"+id)
			for _, addr := range []string{id, id + ":80"} {
				c, err := s.DialContext(t.Context(), "tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				if got := nameOf(t, c); got != "client-"+id {
					t.Errorf("%s is %q", addr, got)
				}
				c.Close()
			}
			d, ok := s.Lookup(id)
			if !ok || d.Header.Get("DeviceId") != id {
				t.Errorf("lookup of %s: %v, %t", id, d, ok)
			}
		}
		all := maps.Collect(s.All())
		if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, []string{"1", "Three_~", "device-2.example"}) || s.Len() != 3 {
			t.Errorf("the fleet is %q, and has %d clients", got, s.Len())
		}
		if d, ok := s.Lookup("4"); ok {
			t.Errorf("lookup of a client that is not there: %v", d)
		}
	})
}

// TestHTTP uses the fleet where a network address is dialled.
func TestHTTP(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		lis, err := transport.DialAndListen("mem://server", http.Header{"Deviceid": {"123"}}, transport.WithCarriers(s.network))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		go http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host+r.URL.Path) }))
		if _, err := s.Wait(t.Context(), "123"); err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DialContext: s.DialContext}}
		defer client.CloseIdleConnections()
		answer, err := client.Get("http://123/status")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if body, err := io.ReadAll(answer.Body); string(body) != "123/status" || err != nil {
			t.Errorf("the client answers %q, %v", body, err)
		}
	})
}

// TestErrors dials clients that are not connected, for every reason there is.
func TestErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		gone := func(id string, cause error) {
			t.Helper()
			_, err := s.Dial(t.Context(), id)
			not, ok := errors.AsType[*fleet.NotConnectedError](err)
			if !ok || not.ID != id || !errors.Is(err, cause) || time.Since(not.Since) > time.Minute {
				t.Errorf("dial of %s: %v, want fleet.NotConnectedError because of %v", id, err, cause)
			}
		}
		_, err := s.Dial(t.Context(), "never")
		if not, ok := errors.AsType[*fleet.NotConnectedError](err); !ok || not.ID != "never" || !not.Since.IsZero() || not.Cause != nil {
			t.Errorf("dial of a client that was never seen: %v", err)
		}
		if want := `fleet: dial: client "never" is not connected, and was never seen`; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}

		s.connect(t, "leaves", "leaves").Close()
		synctest.Wait()
		gone("leaves", transport.ErrClientGone)
		time.Sleep(1500 * time.Millisecond)
		_, err = s.Dial(t.Context(), "leaves")
		if want := `fleet: dial: client "leaves" left 1.5s ago: transport: client gone: qmux: session ended: closed by the peer`; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}

		s.connect(t, "kicked", "kicked")
		synctest.Wait()
		if err := s.Kick("kicked", "it is stolen"); err != nil {
			t.Error("kick:", err)
		}
		_, err = s.Dial(t.Context(), "kicked")
		if kicked, ok := errors.AsType[*fleet.KickedError](err); !ok || kicked.Reason != "it is stolen" {
			t.Errorf("dial of a client that was kicked: %v", err)
		}

		lis := s.connect(t, "drains", "drains")
		synctest.Wait()
		running, _ := s.dial(t, "drains")
		left := make(chan error, 1)
		go func() { left <- lis.Shutdown(t.Context()) }()
		synctest.Wait()
		gone("drains", transport.ErrDraining)
		running.Close()
		if err := <-left; err != nil {
			t.Error("shutdown:", err)
		}

		s.connect(t, "closed", "closed")
		synctest.Wait()
		d, _ := s.Lookup("closed")
		found, err := s.LookupAfter("closed", func() { d.Close() })
		if found || !errors.Is(err, net.ErrClosed) {
			t.Errorf("a session that is over was found: %t, %v", found, err)
		}
		gone("closed", net.ErrClosed)

		if s.Len() != 0 {
			t.Errorf("%d clients are left", s.Len())
		}
	})
}

// In TestServerShutdown the fleet knows that its clients have to go elsewhere.
func TestServerShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.connect(t, "1", "one")
		synctest.Wait()
		running, _ := s.dial(t, "1")
		done := make(chan error, 1)
		go func() { done <- s.server.Shutdown(t.Context()) }()
		d, _ := s.Lookup("1")
		<-d.Draining()
		if _, err := s.Dial(t.Context(), "1"); !errors.Is(err, transport.ErrDraining) {
			t.Errorf("dial: %v, want transport.ErrDraining", err)
		}
		running.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// In TestServerShutdownSilent a server shuts down after one of its clients has vanished. That
// client is silent, and not about to move.
func TestServerShutdownSilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		network := newFrozen(s.network)
		// The client's own keepalive would end its connection, which is no silence.
		s.connect(t, "1", "one", transport.WithCarriers(network), transport.WithKeepAlive(-1, 0))
		synctest.Wait()
		running, _ := s.dial(t, "1")
		defer running.Close()
		d, _ := s.Lookup("1")
		network.set(true)
		defer network.set(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- s.server.Shutdown(ctx) }()
		<-d.Dialable().Done()
		synctest.Wait()
		_, err := s.Dial(t.Context(), "1")
		if !isNotConnected(err) || !errors.Is(err, transport.ErrClientGone) || !errors.Is(err, transport.EndSilent) || errors.Is(err, transport.ErrDraining) {
			t.Errorf("dial: %v, want fleet.NotConnectedError because of transport.EndSilent", err)
		}
		if err := <-done; err != nil {
			t.Error("shutdown:", err)
		}
		if !errors.Is(d.Err(), transport.EndSilent) {
			t.Errorf("the session ends with %v, want transport.EndSilent", d.Err())
		}
	})
}

// In TestClosing a client does not take what was written while its session closes. The session
// is not in the fleet during that wait.
func TestClosing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.RejectNewer))
		network := newFrozen(s.network)
		s.connect(t, "1", "older", transport.WithCarriers(network))
		synctest.Wait()
		d, _ := s.Lookup("1")
		network.set(true)
		defer network.set(false)
		closed := make(chan error)
		go func() { closed <- d.Close() }()
		synctest.Wait()
		if err := d.Err(); err != nil {
			t.Error("the session has ended already:", err)
		}
		if _, ok := s.Lookup("1"); ok || s.Len() > 0 {
			t.Error("a session that is being closed is in the fleet")
		}
		if _, err := s.Dial(t.Context(), "1"); !errors.Is(err, net.ErrClosed) || !isNotConnected(err) {
			t.Errorf("dial: %v, want net.ErrClosed and fleet.NotConnectedError", err)
		}
		s.connect(t, "1", "newer")
		synctest.Wait()
		s.reaches(t, "1", "newer")
		<-closed
	})
}

func TestBadIDs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		long := string(make([]byte, 10_000))
		for _, id := range []string{"", " ", "a b", "a/b", "a:1", "[::1]", ".", "..", "a.", ".a", "ä", "a\x00", "%41", "a\nb", long, "<b>"} {
			for what, call := range map[string]func() error{
				"Dial":        func() error { _, err := s.Dial(t.Context(), id); return err },
				"DialContext": func() error { _, err := s.DialContext(t.Context(), "tcp", net.JoinHostPort(id, "80")); return err },
				"Wait":        func() error { _, err := s.Wait(t.Context(), id); return err },
				"Kick":        func() error { return s.Kick(id, "") },
				"CheckID":     func() error { return fleet.CheckID(id) },
			} {
				if err := call(); !errors.Is(err, fleet.ErrInvalidID) || len(err.Error()) > 1000 {
					t.Errorf("%s of %.20q: %v, want fleet.ErrInvalidID", what, id, err)
				}
			}
		}
		for _, id := range []string{"a", "-", "A.b", "2001-db8", "0", fmt.Sprintf("%0128d", 1)} {
			if err := fleet.CheckID(id); err != nil {
				t.Errorf("%q: %v", id, err)
			}
		}
		if err := fleet.CheckID(fmt.Sprintf("%0129d", 1)); err == nil {
			t.Error("an ID of 129 characters")
		}
	})
}

func TestKick(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithDuplicates(fleet.KeepAll))
		one, two := s.connect(t, "1", "one"), s.connect(t, "1", "two")
		synctest.Wait()
		if err := s.Kick("1", "for maintenance"); err != nil {
			t.Fatal(err)
		}
		for _, lis := range []*transport.Listener{one, two} {
			<-lis.Done()
			if closed, ok := errors.AsType[*transport.ClosedError](lis.Err()); !ok || closed.Reason != "for maintenance" {
				t.Errorf("the client ends with %v, want the reason", lis.Err())
			}
		}
		if _, ok := errors.AsType[*fleet.NotConnectedError](s.Kick("1", "again")); !ok {
			t.Error("a client that is not there was kicked")
		}
		s.connect(t, "1", "three") // nobody is banned
		synctest.Wait()
		s.reaches(t, "1", "three")
		if got, want := s.Stats(), (fleet.Stats{Clients: 1, Sessions: 1, Kicked: 2}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestKickNewcomer kicks a client while a second session of it waits to replace the first. The
// newer session has not joined the fleet yet, but is kicked, too.
func TestKickNewcomer(t *testing.T) {
	for _, policy := range []fleet.Duplicates{fleet.ReplaceOlder, fleet.ReplaceDead, fleet.RejectNewer} {
		bubble(t, func(t *testing.T) {
			s := &site{Fleet: fleet.New(fleet.ByHeader("DeviceId"), fleet.WithDuplicates(policy)), network: mem.New()}
			s.serve(t, "server") // identifies clients when they have connected
			older := s.connect(t, "1", "older")
			synctest.Wait()
			network := newFrozen(s.network)
			network.set(true) // so the newer session answers no ping, and does not join for 5 s
			newer := s.connect(t, "1", "newer", transport.WithCarriers(network))
			synctest.Wait()
			if err := s.Kick("1", "it is stolen"); err != nil {
				t.Fatal(err)
			}
			<-older.Done()
			network.set(false)
			time.Sleep(time.Minute)
			if closed, ok := errors.AsType[*transport.ClosedError](newer.Err()); !ok || closed.Reason != "it is stolen" {
				t.Errorf("%v: the newer session ends with %v, want the reason", policy, newer.Err())
			}
			if d, ok := s.Lookup("1"); ok {
				t.Errorf("%v: the client is back: %v", policy, d.Info())
			}
			if got, want := s.Stats(), (fleet.Stats{Kicked: 2}); got != want {
				t.Errorf("%v: stats %+v, want %+v", policy, got, want)
			}
		})
	}
}

// TestKickWhileIdentified kicks a client that has been let in, and is not connected yet.
func TestKickWhileIdentified(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &site{network: mem.New()}
		s.Fleet = fleet.New(func(*http.Request) (string, error) {
			s.Kick("1", "it is stolen")
			return "1", nil
		})
		s.serve(t, "server", transport.WithAuthorize(s.Authorize))
		lis := s.connect(t, "1", "one")
		time.Sleep(time.Minute)
		if closed, ok := errors.AsType[*transport.ClosedError](lis.Err()); !ok || closed.Reason != "it is stolen" {
			t.Errorf("the client ends with %v, want the reason", lis.Err())
		}
	})
}

// TestKickDraining kicks a client that says that it is about to leave, and does not: it
// has connections all the same. Another has moved, and has two sessions.
func TestKickDraining(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		kicked := func(id string, c net.Conn) {
			t.Helper()
			if err := s.Kick(id, "it is stolen"); err != nil {
				t.Errorf("kick %s: %v", id, err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a connection to %s goes on: %v", id, err)
			}
			err := s.Kick(id, "again")
			if _, ok := errors.AsType[*fleet.KickedError](err); !ok || !isNotConnected(err) {
				t.Errorf("%s was kicked again: %v", id, err)
			}
		}
		leaves := s.connect(t, "leaves", "leaves")
		synctest.Wait()
		c, _ := s.dial(t, "leaves")
		go leaves.Shutdown(t.Context())
		synctest.Wait()
		kicked("leaves", c)

		s.connect(t, "moves", "moves", transport.WithReconnect(transport.Backoff{}), transport.WithRetry(func(error) bool { return false }))
		synctest.Wait()
		c, _ = s.dial(t, "moves")
		d, _ := s.Lookup("moves")
		go d.Shutdown(t.Context())
		<-d.Draining()
		synctest.Wait()
		s.reaches(t, "moves", "moves")
		kicked("moves", c)
		if got, want := s.Stats(), (fleet.Stats{Kicked: 3}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
		synctest.Wait()
		if n := s.Draining(); n != 0 {
			t.Errorf("%d clients drain", n)
		}
	})
}

// In TestLeavesAndStays a client says that it leaves, keeps a connection, and connects again.
// A few of its sessions last, and the server keeps room for others.
func TestLeavesAndStays(t *testing.T) {
	for policy, want := range map[fleet.Duplicates]int{fleet.ReplaceOlder: 16, fleet.RejectNewer: 16, fleet.KeepAll: 20} {
		bubble(t, func(t *testing.T) {
			s := newSite(t, fleet.WithDuplicates(policy), fleet.WithSessionsPerClient(20))
			var all []*transport.Dialer
			for range 30 {
				lis := s.connect(t, "1", "one")
				synctest.Wait()
				s.dial(t, "1")
				d, _ := s.Lookup("1")
				all = append(all, d)
				go lis.Shutdown(t.Context())
				synctest.Wait()
			}
			time.Sleep(time.Minute)
			for i, d := range all {
				switch gone := i < len(all)-want; {
				case gone && !errors.Is(d.Err(), fleet.ErrReplaced):
					t.Errorf("%v: session %d ends with %v, want ErrReplaced", policy, i, d.Err())
				case !gone && d.Err() != nil:
					t.Errorf("%v: session %d ends with %v", policy, i, d.Err())
				}
			}
		})
	}
}

func TestWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		const waiting = 10
		found := make(chan *transport.Dialer, waiting)
		for range waiting {
			go func() {
				d, err := s.Wait(t.Context(), "1")
				if err != nil {
					t.Error("wait:", err)
				}
				found <- d
			}()
		}
		time.Sleep(time.Hour)
		s.connect(t, "2", "another")
		synctest.Wait()
		if len(found) > 0 {
			t.Error("a client that is not there was found")
		}
		s.connect(t, "1", "one")
		for range waiting {
			if d := <-found; d == nil || d.Header.Get("DeviceId") != "1" {
				t.Errorf("the client that came is %v", d)
			}
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := s.Wait(ctx, "3")
		if not, ok := errors.AsType[*fleet.NotConnectedError](err); !ok || not.ID != "3" || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v, want context.DeadlineExceeded and fleet.NotConnectedError", time.Since(began), err)
		}
		if n := s.Waiting(); n != 0 {
			t.Errorf("the fleet still waits for %d arrivals, although no caller does", n)
		}
	})
}

// TestWaitForClient dials clients that are away.
func TestWaitForClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t, fleet.WithWaitForClient())
		time.AfterFunc(time.Minute, func() { s.connect(t, "1", "one") })
		s.reaches(t, "1", "one")
		d, _ := s.Lookup("1")
		d.Close()
		time.AfterFunc(time.Minute, func() { s.connect(t, "1", "two") })
		s.reaches(t, "1", "two")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Dial(ctx, "2"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial of a client that never comes: %v, want context.DeadlineExceeded", err)
		}
	})
}

// In TestDialEndsWithContext the client accepts nothing.
func TestDialEndsWithContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		lis, err := transport.DialAndListen("mem://server", http.Header{"Deviceid": {"1"}}, transport.WithCarriers(s.network))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for err == nil {
			_, err = s.Dial(ctx, "1")
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial: %v, want context.DeadlineExceeded", err)
		}
		if s.Len() != 1 {
			t.Error("the client is not there any more")
		}
	})
}
