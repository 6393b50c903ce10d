package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// userPause is how long a user thinks between two requests.
const userPause = 50 * time.Millisecond

// Users look at devices all the time, each at one of them, through the proxy.
type users struct {
	mu       sync.Mutex // guards below
	requests int
	failed   []error
	slowest  time.Duration
}

// run runs a user for each device, until ctx ends.
func (u *users) run(ctx context.Context, client *http.Client, front *url.URL, devices []*device) {
	var running sync.WaitGroup
	for _, d := range devices {
		running.Go(func() {
			for ctx.Err() == nil {
				c := ask(ctx, client, front, d)
				if ctx.Err() == nil {
					u.add(c)
				}
				wait(ctx, userPause)
			}
		})
	}
	running.Wait()
}

func (u *users) add(c cell) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests++
	u.slowest = max(u.slowest, c.took)
	if c.err != nil {
		u.failed = append(u.failed, c.err)
	}
}

// report describes the users' requests since the last report.
func (u *users) report() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	outcome := "none failed"
	if n := len(u.failed); n > 0 {
		outcome = fmt.Sprintf("%d failed (%v)", n, u.failed[n-1])
	}
	text := fmt.Sprintf("%d, %s, the slowest took %s", u.requests, outcome, duration(u.slowest))
	if u.requests == 0 {
		text = "none"
	}
	u.requests, u.failed, u.slowest = 0, nil, 0
	return text
}
