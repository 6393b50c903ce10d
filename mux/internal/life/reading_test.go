package life

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/mux"
)

// TestDeaf uses peers that send something all the time.
func TestDeaf(t *testing.T) {
	const patience, long = time.Minute, time.Hour // the former by default
	answers := func(p *paper) { p.AnsweredLocked(true) }
	once := func(p *paper) {
		if p.pings == 0 {
			p.AnsweredLocked(true)
		}
	}
	for _, test := range []struct {
		name         string
		library      bool
		does         func(p *paper) // each second, with Mu held
		bytes        int            // arrive each second
		least, lives time.Duration
	}{
		{"never answers", false, nil, 12, 0, patience},
		{"answers no more", false, once, 12, 0, patience},
		{"answers", false, answers, 12, long, 0},
		{"is of a library", true, nil, 12, long, 0},
		{"was taken for one of a library", true, once, 12, 0, patience},
		{"makes room", false, func(p *paper) { p.TookLocked(slow) }, 12, long, 0},
		{"has room", false, func(p *paper) { p.TookLocked(slow - 1) }, 12, 0, patience},
		{"sends slowly", false, nil, slowest, 4 * time.Minute, 5 * time.Minute},
		{"sends much", false, nil, maxAhead, 0, patience},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &paper{library: test.library}
				p.Init("paper", p, mux.Config{})
				p.KeepAlive(p.Config)
				defer p.End(context.Canceled)
				began := time.Now()
				for p.Context().Err() == nil && time.Since(began) < long {
					p.Hear(test.bytes)
					if test.does != nil {
						p.Mu.Lock()
						test.does(p)
						p.Mu.Unlock()
					}
					time.Sleep(time.Second)
					synctest.Wait()
				}
				lived := time.Since(began)
				if most := test.lives; lived < test.least || most > 0 && lived > most {
					t.Errorf("the session has lived for %v, want %v to %v", lived, test.least, most)
				}
				if cause := context.Cause(p.Context()); test.lives > 0 && !errors.Is(cause, mux.ErrSilent) {
					t.Errorf("cause %v, want mux.ErrSilent", cause)
				}
			})
		})
	}
}
