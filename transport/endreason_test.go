package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
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

func TestEndReasonOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want transport.EndReason
	}{
		{nil, ""},
		{because(net.ErrClosed), transport.EndClosed},
		{because(mux.ErrSessionEnded, mux.ErrClosedByPeer), transport.EndClosedByPeer},
		{because(&transport.ClosedError{Reason: "enough"}, mux.ErrSessionEnded, mux.ErrClosedByPeer), transport.EndClosedByPeer},
		{because(&transport.ClosedError{Reason: "enough", End: transport.EndKicked}, mux.ErrSessionEnded, mux.ErrClosedByPeer), transport.EndKicked},
		{because(mux.ErrSessionEnded, mux.ErrSilent), transport.EndSilent},
		{because(mux.ErrSessionEnded, mux.ErrProtocol), transport.EndProtocol},
		{because(mux.ErrSessionEnded, syscall.ECONNRESET), transport.EndLost},
		{because(mux.ErrSessionEnded, net.ErrClosed), transport.EndLost},
		{because(transport.EndTooOld, net.ErrClosed), transport.EndTooOld},
		{because(transport.EndReason("a word of somebody's own"), net.ErrClosed), transport.EndClosed},
		{because(&carrier.RejectedError{StatusCode: http.StatusForbidden}), transport.EndRefused},
		{because(&carrier.RejectedError{StatusCode: http.StatusServiceUnavailable}), transport.EndRefused},
		{because(transport.ErrAlreadyConnected, net.ErrClosed), transport.EndRefused},
		{errors.New("something else"), transport.EndLost},
	} {
		got := transport.EndReasonOf(test.err)
		if got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
		if got != "" && !slices.Contains(transport.EndReasons(), got) {
			t.Errorf("%q is not one of %q", got, transport.EndReasons())
		}
	}
}

// In TestEndOfListener a listener with WithReconnect ends after its sessions ended for other
// reasons.
func TestEndOfListener(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*testing.T, *site, *transport.Listener)
		want transport.EndReason
	}{
		{"close", func(_ *testing.T, _ *site, lis *transport.Listener) { lis.Close() }, transport.EndClosed},
		{"shutdown", func(t *testing.T, _ *site, lis *transport.Listener) { lis.Shutdown(t.Context()) }, transport.EndShutdown},
		{"refused", func(_ *testing.T, s *site, _ *transport.Listener) {
			s.answer(verdict(http.StatusForbidden))
			(<-s.dialers).Close()
		}, transport.EndRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				lis, _ := s.listen(t, transport.Backoff{})
				test.end(t, s, lis)
				<-lis.Done()
				if got := transport.EndReasonOf(lis.Err()); got != test.want {
					t.Errorf("the listener ends with %q because of %v, want %q", got, lis.Err(), test.want)
				}
			})
		})
	}
}

// TestEndTexts expects errors of this end to say who has closed what, and why.
func TestEndTexts(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		lis, err := transport.DialAndListen("mem://server", nil, transport.WithCarriers(s.network))
		if err != nil {
			t.Fatal(err)
		}
		d := <-s.dialers
		d.CloseBecause(fmt.Errorf("%w: the tariff\nis unpaid", transport.EndKicked), "pay")
		<-lis.(*transport.Listener).Done()
		_, dial := d.Dial()
		_, accept := lis.Accept()
		for _, test := range []struct {
			err  error
			want string
		}{
			{d.Err(), `transport: closed by this end: kicked: the tariff\nis unpaid`},
			{context.Cause(d.Dialable()), `transport: dial: closed by this end: kicked: the tariff\nis unpaid`},
			{dial, `transport: closed by this end: kicked: the tariff\nis unpaid`},
			{accept, `transport: accept: closed by the server: "pay": qmux: session ended: closed by the peer`},
		} {
			if test.err == nil || test.err.Error() != test.want || !errors.Is(test.err, transport.EndKicked) {
				t.Errorf("error %q, want %q", test.err, test.want)
			}
		}
	})
}

// In TestSilentWhileAsked a server asks a client that has vanished to move, or to go because
// it is too old. The reason is that the client is silent, not that it drains. A client that
// cannot move for now is another matter.
func TestSilentWhileAsked(t *testing.T) {
	leave := func(t *testing.T, d *transport.Dialer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d.Shutdown(ctx)
	}
	for _, test := range []struct {
		name  string
		opts  []transport.ServerOption
		still bool
		leave func(*testing.T, *transport.Dialer)
		want  transport.EndReason
	}{
		{"shutdown", nil, true, leave, transport.EndSilent},
		{"too old", []transport.ServerOption{transport.WithMaxAge(time.Minute)}, true, func(*testing.T, *transport.Dialer) {}, transport.EndSilent},
		{"in time", nil, true, func(t *testing.T, d *transport.Dialer) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			d.Shutdown(ctx)
		}, transport.EndShutdown},
		{"finds no server", nil, false, leave, transport.EndShutdown},
	} {
		t.Run(test.name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				never := transport.WithKeepAlive(-1, 0) // which would notice too
				s.deploy(t, append(test.opts, never)...)
				network := &stopping{Carrier: s.network, stop: make(chan struct{})}
				s.listen(t, transport.Backoff{}, transport.WithCarriers(network), never)
				d := <-s.dialers
				if err := d.Ping(t.Context()); err != nil {
					t.Fatal("ping:", err)
				}
				if test.still {
					close(network.stop)
				}
				s.answer(status(http.StatusServiceUnavailable, ""))
				go test.leave(t, d)
				<-d.Dialable().Done()
				_, dial := d.Dial()
				if silent := test.want == transport.EndSilent; errors.Is(dial, transport.ErrClientGone) != silent || errors.Is(dial, transport.ErrDraining) == silent {
					t.Errorf("dial: %v, of a client that is to be %s", dial, test.want)
				}
				<-d.Done()
				if got := transport.EndReasonOf(d.Err()); got != test.want || errors.Is(d.Err(), mux.ErrSilent) != (got == transport.EndSilent) {
					t.Errorf("the session ends with %q because of %v, want %q", got, d.Err(), test.want)
				}
			})
		})
	}
}

// A stopping carrier connects, and stands still when stop is closed, until the connection is
// closed.
type stopping struct {
	carrier.Carrier
	stop chan struct{}
}

func (c *stopping) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	conn, err := c.Carrier.Dial(ctx, r)
	if err != nil {
		return nil, err
	}
	return &stoppingConn{Conn: conn, stop: c.stop, closed: make(chan struct{})}, nil
}

type stoppingConn struct {
	carrier.Conn
	stop, closed chan struct{}
}

func (c *stoppingConn) wait() {
	select {
	case <-c.stop:
		<-c.closed
	default:
	}
}

func (c *stoppingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait()
	return n, err
}

func (c *stoppingConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

func (c *stoppingConn) Close() error {
	close(c.closed)
	return c.Conn.Close()
}

// In TestIdleTimeoutIsSilence a carrier notices before the keepalive that the other end is
// gone.
func TestIdleTimeoutIsSilence(t *testing.T) {
	leak.Parallel(t)
	by := webtransport.New(webtransport.WithIdleTimeout(500*time.Millisecond), webtransport.WithKeepAlive(100*time.Millisecond))
	common := []transport.Option{transport.WithCarriers(by), transport.WithMuxes(nativemux.New()), transport.WithKeepAlive(-1, 0)}
	dialers := make(chan *transport.Dialer, 1)
	server := serverFunc(t, func(d *transport.Dialer) { dialers <- d }, common[0], common[1], common[2])
	ca := testcert.NewCA(t)
	network := testnet.UDP(t, listenUDP(t, ca.Issue(t, "127.0.0.1"), server), 0)
	lis, err := transport.DialAndListenContext(within(t), "https://"+network.Addr(), nil,
		common[0], common[1], common[2], transport.WithTLSConfig(&tls.Config{RootCAs: ca.Pool()}))
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	d := await.From(t, "Dialer", dialers)
	network.Freeze()
	await.From(t, "end of the server's session", d.Done())
	await.From(t, "end of the client's session", lis.Done())
	network.Set(faultnet.Conditions{})
	for who, err := range map[string]error{"server": d.Err(), "client": lis.Err()} {
		if !errors.Is(err, transport.EndSilent) || !errors.Is(err, mux.ErrSilent) {
			t.Errorf("%s: %v, want it to be silent", who, err)
		}
	}
}
