package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/backdial/backdial/transport"
)

// A site is the devices and the users who ask them.
type site struct {
	devices []*transport.Listener
	users   *users
}

// newSite connects devices to a server, with a user for each.
func newSite(ctx context.Context, addr string, devices int) (*site, error) {
	s := new(site)
	var ids []string
	for n := range devices {
		id := fmt.Sprint("device-", n)
		lis, err := transport.DialAndListenContext(ctx, "ws://"+addr+"/connect", http.Header{"DeviceId": {id}},
			transport.WithReconnect(transport.Backoff{}))
		if err != nil {
			s.close()
			return nil, err
		}
		go http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // ends with close
			io.WriteString(w, id)
		}))
		s.devices, ids = append(s.devices, lis), append(ids, id)
	}
	s.users = newUsers("http://"+addr+"/devices/", ids)
	return s, nil
}

func (s *site) close() {
	if s.users != nil {
		s.users.close()
	}
	for _, lis := range s.devices {
		lis.Close()
	}
}

const (
	// userPause is how long a user thinks between two requests.
	userPause = 50 * time.Millisecond

	// userPatience is how long a user waits for an answer.
	userPatience = 30 * time.Second
)

// users asks each device all the time, until close.
type users struct {
	client  *http.Client
	stop    context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex // guards below
	tally tally
}

// A tally is the result of requests.
type tally struct {
	requests int
	failed   []error
	slowest  time.Duration
}

func (t *tally) add(other tally) {
	t.requests += other.requests
	t.failed = append(t.failed, other.failed...)
	t.slowest = max(t.slowest, other.slowest)
}

func newUsers(url string, ids []string) *users {
	u := &users{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: len(ids)}, Timeout: userPatience}}
	ctx, stop := context.WithCancel(context.Background())
	u.stop = stop
	for _, id := range ids {
		u.running.Go(func() {
			for ctx.Err() == nil {
				u.ask(ctx, url+id+"/", id)
				select {
				case <-time.After(userPause):
				case <-ctx.Done():
				}
			}
		})
	}
	return u
}

// ask asks for a page, and records the result.
func (u *users) ask(ctx context.Context, url, want string) {
	began := time.Now()
	err := u.get(ctx, url, want)
	if ctx.Err() != nil {
		return
	}
	t := tally{requests: 1, slowest: time.Since(began)}
	if err != nil {
		t.failed = []error{err}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tally.add(t)
}

func (u *users) get(ctx context.Context, url, want string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := u.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%s: %s: %q", url, answer.Status, got)
	}
	return err
}

// take returns the results since the last call.
func (u *users) take() tally {
	u.mu.Lock()
	defer u.mu.Unlock()
	t := u.tally
	u.tally = tally{}
	return t
}

func (u *users) close() {
	u.stop()
	u.running.Wait()
	u.client.CloseIdleConnections()
}
