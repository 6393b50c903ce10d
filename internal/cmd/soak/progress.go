package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress tells whoever waits what goes on. The zero value is silent.
type progress struct {
	out      io.Writer
	terminal bool // whose last line can be written anew
	began    time.Time

	mu   sync.Mutex // guards below
	last time.Time
}

func newProgress(out *os.File) *progress {
	info, err := out.Stat()
	return &progress{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, began: time.Now()}
}

// seldom is how often there is a line where it cannot be written anew.
const seldom = 15 * time.Second

// show has what happens at the moment be the last line.
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

// print prints what is to stay.
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
