package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
)

// A path is one of a client's carriers to one host.
type path struct {
	carrier int // its position, as names need not differ
	host    string
}

func newPath(position int, host string) path { return path{position, strings.ToLower(host)} }

// paths remembers which paths are broken, so that a client does not wait for them each time. A
// path that fails is passed over for a while, then tried again in its usual place; each
// failure in a row doubles the while. The zero value remembers nothing.
type paths struct {
	mu      sync.Mutex // guards below
	broken  map[path]failure
	watched map[*watch]struct{}
}

// A failure is what is remembered of a path.
type failure struct {
	err     error
	backoff time.Duration // the wait that ends at until
	until   time.Time
}

// A watch is a session that will show whether its path works.
type watch struct {
	path    path
	session context.Context
	since   time.Time
	short   time.Duration
}

// passedOver reports whether p is passed over at the time now, with the failure that is why.
func (m *paths) passedOver(p path, now time.Time) (f failure, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok = m.broken[p]
	return f, ok && now.Before(f.until)
}

// failed remembers that p failed with err. A path that is passed over already does not change:
// a failure counts once per try.
func (m *paths) failed(p path, now time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failedLocked(p, now, err)
}

func (m *paths) failedLocked(p path, now time.Time, err error) {
	f, known := m.broken[p]
	switch {
	case known && now.Before(f.until):
		return
	case known:
		f.backoff = min(2*f.backoff, maxBackoff)
	default:
		f.backoff = minBackoff
		m.sweepLocked(now)
	}
	f.err, f.until = err, now.Add(f.backoff)
	if m.broken == nil {
		m.broken = make(map[path]failure)
	}
	m.broken[p] = f
}

// sweepLocked forgets paths that were not used in a long time, so that the memory of a client
// that goes from host to host does not grow.
func (m *paths) sweepLocked(now time.Time) {
	for p, f := range m.broken {
		if now.Sub(f.until) > 2*maxBackoff {
			delete(m.broken, p)
		}
	}
}

// connected notes that a session began on p. The path is not passed over any more. If the
// session falls silent before it is short old, that counts as one more failure; otherwise its
// end clears them.
func (m *paths) connected(p path, now time.Time, session context.Context, short time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.broken[p]; ok {
		f.until = now
		m.broken[p] = f
	}
	if m.watched == nil {
		m.watched = make(map[*watch]struct{})
	}
	m.watched[&watch{p, session, now, short}] = struct{}{}
}

// learn learns from sessions that have ended. It is called when one has, and before each
// look-up: a caller that waits for the end of a session may be first.
func (m *paths) learn(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.watched {
		if w.session.Err() == nil {
			continue
		}
		delete(m.watched, w)
		err, life := context.Cause(w.session), now.Sub(w.since)
		if errors.Is(err, mux.ErrSilent) && life < w.short {
			m.failedLocked(w.path, now, fmt.Errorf("session lasted %v: %w", life.Round(time.Millisecond), err))
		} else {
			delete(m.broken, w.path)
		}
	}
}

// isBrokenPath reports whether the error of an attempt means that its carrier does not reach
// the server. Otherwise it has reached something, or was not tried, and failed fast enough to
// be tried again.
func isBrokenPath(err error) bool {
	if errors.Is(err, carrier.ErrScheme) || errors.Is(err, ErrNoCommonMux) {
		return false
	}
	_, rejected := errors.AsType[*carrier.RejectedError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, lookup := errors.AsType[*net.DNSError](err)
	return !rejected && !alert && !lookup && !isCertificate(err)
}

// isCertificate reports whether err is about the server's certificate.
func isCertificate(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || authority || hostname || invalid
}
