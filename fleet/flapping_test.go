package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/transport"
)

// In TestFlapping thousands of clients, several with each ID, come and go while others dial
// them. In the end each ID belongs to the client that came last.
func TestFlapping(t *testing.T) {
	for name, policy := range map[string]fleet.Duplicates{
		"ReplaceOlder": fleet.ReplaceOlder,
		"ReplaceDead":  fleet.ReplaceDead,
		"RejectNewer":  fleet.RejectNewer,
		"KeepAll":      fleet.KeepAll,
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			const ids, clients = 250, 4
			times := long.Times(3)
			s := &site{Fleet: fleet.New(fleet.ByHeader("DeviceId"), fleet.WithDuplicates(policy)), network: mem.New()}
			// All may knock at the same time, and be gone before they are answered.
			s.serve(t, "server", transport.WithAuthorize(s.Authorize), transport.WithMaxHandshakes(10*ids*clients))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			watched := s.changes(ctx)
			present := make(map[*transport.Dialer]bool)
			watching := make(chan bool)
			go func() {
				for c := range watched {
					if present[c.Dialer] = c.Gone == nil; c.Gone != nil {
						delete(present, c.Dialer)
					}
				}
				close(watching)
			}()

			stop := make(chan bool)
			var dialling, flapping sync.WaitGroup
			for range 4 {
				dialling.Go(func() { s.dialAtRandom(t, ids, stop) })
			}
			for n := range ids * clients {
				flapping.Go(func() { s.flap(t, n%ids, times) })
			}
			flapping.Wait()
			close(stop)
			dialling.Wait()
			for deadline := time.Now().Add(20 * time.Second); s.Len() > 0; {
				if time.Now().After(deadline) {
					t.Fatalf("%d clients that are gone are still there", s.Len())
				}
			}
			for id := range ids {
				s.connect(t, fmt.Sprint(id), fmt.Sprintf("%d-last", id))
			}
			for id := range ids {
				if _, err := s.Wait(t.Context(), fmt.Sprint(id)); err != nil {
					t.Fatal(err)
				}
				s.reaches(t, fmt.Sprint(id), fmt.Sprintf("%d-last", id))
			}
			got := s.Stats()
			if got.Clients != ids || got.Sessions != ids || s.Remembered() != 0 {
				t.Errorf("at last there are %+v, want %d, and %d are remembered as gone", got, ids, s.Remembered())
			}
			cancel()
			<-watching
			if len(present) > ids || s.Waiting() > 0 {
				t.Errorf("the watcher knows %d sessions, and %d clients are waited for", len(present), s.Waiting())
			}
			t.Logf("%+v", got)
		})
	}
}

// flap connects a few times and leaves again, one way or another.
func (s *site) flap(t *testing.T, id, times int) {
	for range times {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.N(200))*time.Millisecond)
		lis, err := transport.DialAndListenContext(ctx, "mem://server", http.Header{"Deviceid": {fmt.Sprint(id)}}, transport.WithCarriers(s.network))
		cancel()
		if err != nil {
			continue
		}
		go answer(lis, fmt.Sprintf("%d-flaps", id))
		select {
		case <-time.After(rand.N(100 * time.Millisecond)):
		case <-lis.Done():
		}
		lis.Close()
	}
}

// dialAtRandom expects to reach the client that it dials, or an error that says that it is not there.
func (s *site) dialAtRandom(t *testing.T, ids int, stop <-chan bool) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		id := fmt.Sprint(rand.N(ids))
		c, err := s.Dial(t.Context(), id)
		if err != nil {
			if _, ok := errors.AsType[*fleet.NotConnectedError](err); !ok {
				t.Error("dial:", err)
			}
			continue
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		var name string
		if _, err := fmt.Fscanln(c, &name); err == nil && !strings.HasPrefix(name, id+"-") {
			t.Errorf("dial of %s reaches %s", id, name)
		}
		c.Close()
	}
}
