package main

import (
	"fmt"
	"os"
	"time"
)

// progress prints what is being measured, and how long it will take.
type progress struct {
	out      *os.File
	terminal bool // the last line can be rewritten
	steps    []step
	repeats  int

	began, stepBegan time.Time
	took             map[step]time.Duration // in the last repeat
	done             int                    // steps of all repeats
}

func newProgress(out *os.File, steps []step, repeats int) *progress {
	info, err := out.Stat()
	return &progress{
		out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0,
		steps: steps, repeats: repeats,
		began: time.Now(), took: make(map[step]time.Duration),
	}
}

// begin announces a step.
func (p *progress) begin(s step, repeat int) {
	p.stepBegan = time.Now()
	line := fmt.Sprintf("%s  repeat %d of %d, %d of %d: %s", p.elapsed(), repeat+1, p.repeats,
		p.done%len(p.steps)+1, len(p.steps), s)
	if repeat > 0 {
		line += ", " + p.left().Round(time.Second).String() + " left"
	}
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K", line)
	} else {
		fmt.Fprintln(p.out, line)
	}
}

func (p *progress) end(s step) {
	p.took[s] = time.Since(p.stepBegan)
	p.done++
}

// left is how long the rest will take, if it takes as long as the last time.
func (p *progress) left() time.Duration {
	var left time.Duration
	for i := p.done; i < p.repeats*len(p.steps); i++ {
		left += p.took[p.steps[i%len(p.steps)]]
	}
	return left
}

func (p *progress) elapsed() string {
	return time.Since(p.began).Round(time.Second).String()
}

// print prints a line that stays on the screen.
func (p *progress) print(what any) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintln(p.out, what)
}
