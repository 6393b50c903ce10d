package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress prints what is going on. The zero value prints nothing.
type progress struct {
	out      io.Writer
	terminal bool // the last line can be rewritten
	began    time.Time

	mu   sync.Mutex // guards below
	last time.Time
}

func newProgress(out *os.File) *progress {
	info, err := out.Stat()
	return &progress{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, began: time.Now()}
}

// seldom is how often a line is printed where it cannot be rewritten.
const seldom = 15 * time.Second

// show makes the current state the last line.
func (p *progress) show(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil || !p.terminal && time.Since(p.last) < seldom {
		return
	}
	p.last = time.Now()
	begin, end := "", "\n"
	if p.terminal {
		begin, end = "\r\x1b[K", ""
	}
	fmt.Fprintf(p.out, "%s%s  %s%s", begin, p.elapsed(), fmt.Sprintf(format, args...), end)
}

// print prints a line that stays.
func (p *progress) print(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return
	}
	begin := ""
	if p.terminal {
		begin = "\r\x1b[K"
	}
	fmt.Fprintf(p.out, "%s%s  %s\n", begin, p.elapsed(), fmt.Sprintf(format, args...))
}

func (p *progress) elapsed() time.Duration { return time.Since(p.began).Round(time.Second) }
