package outcome

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// because wraps errors as their packages do.
func because(errs ...error) error {
	all := errors.New("where")
	for _, err := range errs {
		all = fmt.Errorf("%w: %w", all, err)
	}
	return all
}

func rejected(code int) error { return because(&carrier.RejectedError{StatusCode: code}) }

var (
	errNoName   = errors.New("something else")
	errRefused  = &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	errTimedOut = &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
)

// check compares outcomes, and makes sure that each is one of the set.
func check(t *testing.T, kind string, err error, got, want string, set []string) {
	t.Helper()
	if got != want {
		t.Errorf("%s with %v: %q, want %q", kind, err, got, want)
	}
	if !slices.Contains(set, want) {
		t.Errorf("%s: %q is not one of %q", kind, want, set)
	}
}

func TestDial(t *testing.T) {
	live := t.Context()
	over, cancel := context.WithCancel(live)
	cancel()
	late, cancel := context.WithTimeout(live, 0)
	defer cancel()
	for _, test := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{live, nil, OK},
		{over, nil, OK}, // in the last moment
		{live, because(transport.ErrDraining), Draining},
		{live, because(mux.ErrGoAway), Draining},
		{live, because(transport.ErrClientGone, mux.ErrSessionEnded, errTimedOut), Gone},
		{live, because(transport.ErrClientGone, mux.ErrSessionEnded, context.Canceled), Gone}, // as a library calls it
		{live, because(net.ErrClosed), Closed},
		{over, because(context.Canceled), Canceled},
		{late, because(context.DeadlineExceeded), Timeout},
		{late, because(context.DeadlineExceeded, mux.ErrSessionEnded), Timeout},
		{over, because(mux.ErrSessionEnded), Gone},
		{live, because(transport.ErrNotNegotiated), Other},
	} {
		check(t, "dial", test.err, Dial(test.ctx, test.err), test.want, OfDials())
	}
}

func TestStream(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{because(mux.ErrReset), Reset},
		{because(mux.ErrSessionEnded), SessionEnded},
		{because(net.ErrClosed), Closed},
		{errNoName, Other},
	} {
		check(t, "stream", test.err, Stream(test.err), test.want, OfStreams())
	}
	if got := Stream(nil); got != "" {
		t.Errorf("no error: %q", got)
	}
}

func TestHandshake(t *testing.T) {
	for _, test := range []struct {
		err        error
		want, code string
	}{
		{because(rejected(503), transport.ErrServerFull), Full, ""},
		{transport.ErrServerClosed, Closing, ""},
		{because(rejected(503), transport.ErrServerClosed), Closing, ""},
		{because(rejected(421), transport.ErrAlreadyConnected), Connected, ""},
		{because(rejected(403), carrier.ErrOrigin), Origin, ""},
		{because(rejected(426), transport.ErrNotHandshake), NotHandshake, ""},
		{because(rejected(400), transport.ErrNoCommonMux), NoCommonMux, ""},
		{because(rejected(503), context.DeadlineExceeded), Timeout, ""},
		{because(rejected(503), context.Canceled), Canceled, ""},
		{because(errTimedOut), Timeout, ""},
		{rejected(401), Rejected, "401"},
		{rejected(409), Rejected, "409"},
		{rejected(418), Rejected, Other},
		{errNoName, Other, ""},
	} {
		reason, code := Handshake(test.err)
		check(t, "handshake", test.err, reason, test.want, OfHandshakes())
		check(t, "handshake", test.err, code, test.code, append(OfCodes(), ""))
	}
}

func TestConnect(t *testing.T) {
	for _, test := range []struct {
		err        error
		want, code string
	}{
		{nil, OK, ""},
		{because(transport.ErrLostRace), LostRace, ""},
		{because(transport.ErrNoCommonMux), NoCommonMux, ""},
		{because(&net.DNSError{IsNotFound: true}), DNS, ""},
		{because(&net.DNSError{IsTimeout: true}), Timeout, ""},
		{because(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), Certificate, ""},
		{because(context.DeadlineExceeded), Timeout, ""},
		{because(errTimedOut), Timeout, ""},
		{because(context.Canceled), Canceled, ""},
		{rejected(503), Rejected, "503"},
		{rejected(418), Rejected, Other},
		{because(errRefused), Other, ""},
	} {
		result, code := Connect(test.err)
		check(t, "connect", test.err, result, test.want, OfConnects())
		check(t, "connect", test.err, code, test.code, append(OfCodes(), ""))
	}
}
