package fleet_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.connect(t, "0", "zero")
		synctest.Wait()
		changes := s.changes(t.Context())
		expect := func(id string, gone error) {
			t.Helper()
			synctest.Wait()
			select {
			case c := <-changes:
				if c.ID != id || c.Dialer == nil || (c.Gone == nil) != (gone == nil) || gone != nil && !errors.Is(c.Gone, gone) {
					t.Errorf("change %s, %v, want %s, %v", c.ID, c.Gone, id, gone)
				}
			default:
				t.Errorf("no change, want %s, %v", id, gone)
			}
		}
		expect("0", nil)
		one := s.connect(t, "1", "one")
		expect("1", nil)
		two := s.connect(t, "1", "two")
		expect("1", nil) // so that the client is there all the time
		expect("1", fleet.ErrReplaced)
		two.Close()
		expect("1", transport.ErrClientGone)
		one.Close()
		synctest.Wait()
		if len(changes) > 0 {
			t.Errorf("and %v", <-changes)
		}
	})
}

// In TestWatchIsNotWaitedFor a loop over Watch stands still while clients come and go.
func TestWatchIsNotWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		first := s.connect(t, "0", "zero")
		synctest.Wait()
		blocked, goOn := make(chan bool), make(chan bool)
		told := make(chan []fleet.Change)
		go func() {
			var all []fleet.Change
			for c := range s.Watch(t.Context()) {
				if all = append(all, c); len(all) == 1 {
					blocked <- true
					<-goOn
				}
				if c.ID == "last" {
					break
				}
			}
			told <- all
		}()
		<-blocked
		for range 100 {
			s.connect(t, "1", "flaps").Close()
			synctest.Wait()
		}
		first.Close()
		synctest.Wait()
		s.connect(t, "1", "stays")
		synctest.Wait()
		s.connect(t, "last", "last")
		synctest.Wait()
		if watchers, pending := s.Watching(); watchers != 1 || pending > 3 {
			t.Errorf("%d watchers have %d changes to be told of", watchers, pending)
		}
		goOn <- true
		var ids []string
		for _, c := range <-told {
			ids = append(ids, c.ID)
		}
		if want := []string{"0", "0", "1", "last"}; !slices.Equal(ids, want) {
			t.Errorf("changes of %q, want %q", ids, want)
		}
		if watchers, _ := s.Watching(); watchers != 0 {
			t.Errorf("%d watchers are left", watchers)
		}
	})
}
