package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// askTimeout bounds a request for a device. Replicas wait for a device that moves from
// one to another.
const askTimeout = 10 * time.Second

// ask gets a device's page from a replica, or from the proxy.
func ask(ctx context.Context, client *http.Client, from *url.URL, d *device) cell {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	start := time.Now()
	err := get(ctx, client, from.JoinPath("devices", d.id, "/").String(), d.page())
	return cell{took: time.Since(start), err: err}
}

// get returns an error unless url answers with page.
func get(ctx context.Context, client *http.Client, url, page string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return &statusError{answer.StatusCode, strings.TrimSpace(string(body))}
	}
	if string(body) != page {
		return fmt.Errorf("%w: %q", errWrong, body)
	}
	return nil
}

var errWrong = errors.New("the answer is not that of the device")

// A statusError is an answer with an error status.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// A cell is the result of asking for one device.
type cell struct {
	took time.Duration
	err  error
	here bool // the device is connected to the replica that was asked
}

func (c cell) String() string {
	status, isStatus := errors.AsType[*statusError](c.err)
	text := ""
	switch {
	case c.err == nil && c.here:
		return duration(c.took) + " ●"
	case c.err == nil:
		return duration(c.took)
	case isStatus:
		text = fmt.Sprint(status.code)
	case errors.Is(c.err, errWrong):
		text = "WRONG"
	case errors.Is(c.err, context.DeadlineExceeded):
		text = "timeout"
	case errors.Is(c.err, syscall.ECONNREFUSED):
		text = "refused"
	default:
		text = "cut"
	}
	return "✗ " + text
}

// A row is the result of asking a replica, or the proxy, for all devices.
type row struct {
	asked string
	down  string // why it was not asked, or ""
	cells []cell
}

// A pass is the result of asking all replicas, and the proxy, for all devices, at once.
type pass struct {
	devices []*device
	rows    []row
}

// askAll asks all replicas that are up, and the proxy.
func (s *show) askAll(ctx context.Context) pass {
	p := pass{devices: s.devices}
	var asking sync.WaitGroup
	add := func(name, down string, from *url.URL) {
		cells := make([]cell, len(s.devices))
		p.rows = append(p.rows, row{name, down, cells})
		for i, d := range s.devices {
			if down == "" {
				asking.Go(func() {
					cells[i] = ask(ctx, s.client, from, d)
					cells[i].here = slices.Contains(d.replicas(), name)
				})
			}
		}
	}
	for _, r := range s.replicas {
		add(r.name, r.down, r.url)
	}
	add("proxy", "", s.front)
	asking.Wait()
	return p
}

// askUntil repeats askAll while the step goes on, and returns the worst results.
func (s *show) askUntil(ctx context.Context, what step) (pass, error) {
	p := s.askAll(ctx)
	if what.until == nil {
		return p, nil
	}
	for {
		select {
		case <-what.until:
			return p, what.down.ended()
		case <-ctx.Done():
			return p, fmt.Errorf("%s: it goes on: %w", what.title, context.Cause(ctx))
		case <-time.After(pollInterval):
			p = p.worst(s.askAll(ctx))
		}
	}
}

// awaitRecovery repeats askAll until there are no failures, and returns how long that
// took since start.
func (s *show) awaitRecovery(ctx context.Context, p pass, start time.Time) (took time.Duration, last pass, err error) {
	for len(p.failures()) > 0 && ctx.Err() == nil {
		wait(ctx, pollInterval)
		p = s.askAll(ctx)
	}
	return time.Since(start), p, ctx.Err()
}

// failures describes the requests that failed.
func (p pass) failures() (lines []string) {
	for _, r := range p.rows {
		for i, c := range r.cells {
			if c.err != nil {
				lines = append(lines, fmt.Sprintf("%s asked for %s, after %s: %v", r.asked, p.devices[i].id, duration(c.took), c.err))
			}
		}
	}
	return lines
}

// requests returns the number of requests.
func (p pass) requests() (n int) {
	for _, r := range p.rows {
		if r.down == "" {
			n += len(r.cells)
		}
	}
	return n
}

// slowest returns the duration of the slowest request.
func (p pass) slowest() (took time.Duration) {
	for _, r := range p.rows {
		for _, c := range r.cells {
			took = max(took, c.took)
		}
	}
	return took
}

// worst returns the worse of the two passes, cell by cell.
func (p pass) worst(other pass) pass {
	for i, r := range p.rows {
		for j, c := range r.cells {
			if o := other.rows[i].cells[j]; c.err == nil && (o.err != nil || o.took > c.took) {
				r.cells[j] = o
			}
		}
	}
	return p
}

// write writes the table and the failures.
func (p pass) write(w io.Writer) {
	line := fmt.Sprintf("  %-11s", "asked")
	for _, d := range p.devices {
		line += fmt.Sprintf("%-11s", d.id)
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
	for _, r := range p.rows {
		line := fmt.Sprintf("  %-11s%s", r.asked, r.down)
		for _, c := range r.cells {
			if r.down == "" {
				line += fmt.Sprintf("%-11s", c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	for _, failure := range p.failures() {
		fmt.Fprintln(w, "  "+failure)
	}
}

// duration writes d short, and as precisely as a reader wants.
func duration(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}
