package life

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/backdial/backdial/internal/ctxerr"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/internal/keepalive"
)

// Ping implements [mux.Session].
func (s *Session[S]) Ping(ctx context.Context) error {
	s.Mu.Lock()
	if s.answered == nil {
		s.answered = make(chan struct{})
	}
	answered := s.answered
	s.MeasureLocked()
	s.Mu.Unlock()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: ping: %w", s.name, ctxerr.Of(ctx))
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// RoundTrip implements [mux.Session].
func (s *Session[S]) RoundTrip() time.Duration { return s.Pings.Latest() }

// MeasureLocked measures the round trip, unless a measurement is under way.
func (s *Session[S]) MeasureLocked() {
	if !s.Pings.Asking() {
		s.protocol.PingLocked()
	}
}

// measureFirstLocked measures the round trip if it has never been measured. Its ping is
// sent together with the frame that opens or accepts the first stream.
func (s *Session[S]) measureFirstLocked() {
	if s.Pings.Latest() == 0 {
		s.MeasureLocked()
	}
}

// AnsweredLocked notes that the peer has answered a ping, and reports whether that is
// news. last says that this answers the latest ping; a second answer to it is no news.
func (s *Session[S]) AnsweredLocked(last bool) bool {
	if s.answered != nil {
		close(s.answered)
		s.answered = nil
	}
	s.reading.answers = true
	s.AskAnewLocked()
	if !last || !s.Pings.Asking() { // an earlier ping, a repeated answer, or an answer without a question
		return false
	}
	s.Pings.Answered()
	return true
}

// Hear notes a sign of life and the arrival of n bytes.
func (s *Session[S]) Hear(n int) {
	s.received.Add(uint64(n))
	s.lastHeard.Store(int64(time.Since(s.began)))
	s.heard.Add(1)
}

// Heard returns the number of signs of life.
func (s *Session[S]) Heard() uint64 { return s.heard.Load() }

// KeepAlive asks the peer for a sign of life when it has been silent for as long as config
// says.
func (s *Session[S]) KeepAlive(config mux.Config) { s.keepAlive(config, false) }

// KeepBusy replaces KeepAlive for a peer that wants to hear something in each interval,
// whatever it sends itself.
func (s *Session[S]) KeepBusy(config mux.Config) { s.keepAlive(config, true) }

func (s *Session[S]) keepAlive(config mux.Config, always bool) {
	s.Mu.Lock()
	if s.state == Ended {
		s.Mu.Unlock()
		return
	}
	before := s.keepalive
	s.keepalive = keepalive.Start(config, kept[S]{s}, always)
	s.Mu.Unlock()
	before.Stop()
}

// kept is a [Session] as seen by package keepalive.
type kept[S any] struct{ *Session[S] }

// Heard returns the number of signs of life, and when the last one arrived.
func (s kept[S]) Heard() (times uint64, last time.Time) {
	times = s.heard.Load()
	return times, s.began.Add(time.Duration(s.lastHeard.Load()))
}

// Answers reports whether the peer has answered every ping that it had the time to answer.
func (s kept[S]) Answers() bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.reading.answers && s.reading.since.IsZero()
}

// Ask pings the peer, unless earlier writes are stuck or the peer does not read.
func (s kept[S]) Ask() error {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if err := cmp.Or(s.protocol.StuckLocked(), s.deafLocked()); err != nil {
		return err
	}
	s.askedLocked()
	s.protocol.AskLocked()
	return nil
}

// Dead ends the session. It does nothing during Close, which has its own time limit.
func (s kept[S]) Dead(err error) {
	s.Mu.Lock()
	closing := s.state == Closing
	s.Mu.Unlock()
	if !closing {
		s.End(s.Lost(err))
	}
}
