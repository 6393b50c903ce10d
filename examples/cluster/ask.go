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

// askTimeout bounds a request for a device. Replicas wait for one that is on its way to
// another.
const askTimeout = 10 * time.Second

// ask gets a device's page from a replica, or from the proxy.
func ask(ctx context.Context, client *http.Client, from *url.URL, d *device) cell {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	start := time.Now()
	err := get(ctx, client, from.JoinPath("devices", d.id, "/").String(), d.page())
	return cell{took: time.Since(start), err: err}
}

// get returns an error unless there is that page at url.
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

// A statusError is an answer that says what is wrong.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

// A cell is what came of asking for a device.
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

// A row is what came of asking a replica, or the proxy, for all devices.
type row struct {
	asked string
	down  string // why it was not asked, or ""
	cells []cell
}

// A pass is what came of asking all replicas, and the proxy, for all devices, at once.
type pass struct {
	devices []*device
	rows    []row
}

// askAll asks whoever is up.
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

// askUntil is askAll, again and again while what happens goes on: it returns the worst.
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

// settle is askAll until there are no failures any more, which it counts from start.
func (s *show) settle(ctx context.Context, p pass, start time.Time) (took time.Duration, last pass, err error) {
	for len(p.failures()) > 0 && ctx.Err() == nil {
		wait(ctx, pollInterval)
		p = s.askAll(ctx)
	}
	return time.Since(start), p, ctx.Err()
}

// failures returns what was not answered.
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

// requests returns how many there were.
func (p pass) requests() (n int) {
	for _, r := range p.rows {
		if r.down == "" {
			n += len(r.cells)
		}
	}
	return n
}

// slowest returns how long the slowest of them took.
func (p pass) slowest() (took time.Duration) {
	for _, r := range p.rows {
		for _, c := range r.cells {
			took = max(took, c.took)
		}
	}
	return took
}

// worst returns the worst of each cell of two passes.
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

// write writes the table, and what failed.
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

// duration is short, and as precise as a reader wants it.
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
