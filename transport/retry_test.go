package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/transport"
)

// In TestRetryable a proxy or the server answers once with any status. Only the server can end
// the listener.
func TestRetryable(t *testing.T) {
	for _, code := range []int{200, 204, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 413,
		421, 425, 426, 429, 451, 495, 499, 500, 501, 502, 503, 505, 511, 530} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				lis, _ := s.listen(t, transport.Backoff{})
				once := func(answer http.HandlerFunc) {
					s.answer(func(w http.ResponseWriter, r *http.Request) {
						s.answer(nil)
						answer(w, r)
					})
				}
				once(status(code, ""))
				d := <-s.dialers
				began := time.Now()
				d.Close()
				d = <-s.dialers
				if took := time.Since(began); took > time.Minute {
					t.Errorf("back after %v", took)
				}
				once(verdict(code))
				d.Close()
				_, err := lis.Accept()
				rejected, ok := errors.AsType[*carrier.RejectedError](err)
				if !ok || rejected.StatusCode != code || transport.Retryable(err) || !strings.Contains(err.Error(), "for good") {
					t.Errorf("accept: %v, want a *carrier.RejectedError of %d, for good", err, code)
				}
				if err := lis.Err(); !errors.Is(err, rejected) || strings.Count(err.Error(), "transport: ") != 1 {
					t.Errorf("error %v, want that of Accept", err)
				}
			})
		})
	}
}

// In TestRetryableWithCarriers one carrier is refused, and another does not get through.
func TestRetryableWithCarriers(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		again  bool
	}{
		"by the server":         {verdict(403), false},
		"by something else":     {status(403, ""), true},
		"with no such page":     {status(404, ""), true},
		"by a server of before": {status(401, ""), true},
	} {
		t.Run(name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				_, carriers := detours(s.network, works, refuses(syscall.ECONNREFUSED))
				lis, told := s.listen(t, transport.Backoff{}, carriers)
				s.answer(func(w http.ResponseWriter, r *http.Request) {
					s.answer(nil)
					test.answer(w, r)
				})
				(<-s.dialers).Close()
				if test.again {
					<-s.dialers
					if !slices.ContainsFunc(told.take(), func(c transport.StateChange) bool { return c.Refused == 1 }) {
						t.Error("the refusal is not told")
					}
					return
				}
				<-lis.Done()
				if _, ok := errors.AsType[*carrier.RejectedError](lis.Err()); !ok {
					t.Errorf("error %v, want a *carrier.RejectedError", lis.Err())
				}
			})
		})
	}
}

// In TestRefusedWaits a client is refused for a day. It comes back less and less often, and
// within five minutes of being let in again.
func TestRefusedWaits(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		var log syncBuffer
		_, told := s.listen(t, transport.Backoff{}, transport.WithLogger(textLogger(&log)))
		check := func(least int, bounds ...time.Duration) {
			t.Helper()
			waits := slices.DeleteFunc(told.take(), func(c transport.StateChange) bool { return c.Refused == 0 })
			if len(waits) < least {
				t.Fatalf("%d waits, want %d or more", len(waits), least)
			}
			for i, c := range waits {
				bound := bounds[min(i, len(bounds)-1)] * time.Second
				if c.To != waiting || c.Refused != i+1 || c.Wait < bound/2 || c.Wait >= bound || !rejectedWith(404)(c.Err) {
					t.Errorf("refusal %d: %+v, want a wait of %v to %v", i+1, c, bound/2, bound)
				}
			}
		}
		s.answer(status(http.StatusNotFound, ""))
		(<-s.dialers).Close()
		time.Sleep(24 * time.Hour)
		s.answer(nil)
		began := time.Now()
		d := <-s.dialers
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("back after %v", took)
		}
		check(5, 30, 60, 120, 240, 300)
		if n := s.count(); n > 24*60/2 {
			t.Errorf("%d requests in a day", n)
		}
		if !strings.Contains(log.String(), "level=WARN msg=\"backdial: refused, connecting again\"") {
			t.Errorf("the log does not tell of it:\n%.1000s", log.String())
		}
		s.answer(status(http.StatusNotFound, ""))
		d.Close()
		time.Sleep(65 * time.Second)
		check(2, 30, 60, 120) // as if it was the first time
	})
}

// In TestRefusedOptions the waits follow the options. Another failure in between does not
// reset the count of refusals.
func TestRefusedOptions(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		_, told := s.listen(t, transport.Backoff{Min: time.Second, Max: time.Second, MaxRefused: 6 * time.Second})
		codes := []int{404, 404, 503, 200, 404, 404}
		s.answer(func(w http.ResponseWriter, r *http.Request) {
			status(codes[0], "")(w, r)
			if codes = codes[1:]; len(codes) == 0 {
				s.answer(nil)
			}
		})
		(<-s.dialers).Close()
		<-s.dialers
		waits := slices.DeleteFunc(told.take(), func(c transport.StateChange) bool { return c.To != waiting })
		for i, bound := range []time.Duration{1, 1, 2, 1, 4, 6, 6} {
			c := waits[i]
			if bound *= time.Second; c.Wait >= bound || bound > time.Second && c.Wait < bound/2 || c.Attempt != i+1 {
				t.Errorf("wait %d: %+v, want up to %v", i, c, bound)
			}
		}
	})
}

// In TestRefusedAtBoot the first attempts of a client are refused.
func TestRefusedAtBoot(t *testing.T) {
	for _, code := range []int{200, 302, 400, 403, 404, 426} {
		reconnects(t, func(t *testing.T, s *site) {
			by := transport.WithCarriers(s.network)
			s.answer(status(code, ""))
			began := time.Now()
			if _, err := transport.DialAndListen("mem://server", nil, by); !rejectedWith(code)(err) || time.Since(began) != 0 {
				t.Errorf("%d, without WithReconnect: %v after %v, want the refusal at once", code, err, time.Since(began))
			}
			go func() {
				time.Sleep(time.Hour)
				s.answer(nil)
			}()
			s.listen(t, transport.Backoff{})
			if took := time.Since(began); took < time.Hour || took > time.Hour+5*time.Minute {
				t.Errorf("%d: there after %v", code, took)
			}
			s.answer(status(code, ""))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := transport.DialAndListenContext(ctx, "mem://server", nil, by, transport.WithReconnect(transport.Backoff{}))
			if !errors.Is(err, context.DeadlineExceeded) || !rejectedWith(code)(err) {
				t.Errorf("%d: error %v, want context.DeadlineExceeded and the last refusal", code, err)
			}
			s.answer(verdict(code))
			_, err = transport.DialAndListen("mem://server", nil, by, transport.WithReconnect(transport.Backoff{}))
			if !rejectedWith(code)(err) {
				t.Errorf("%d for good: error %v, want the refusal", code, err)
			}
		})
	}
}

// In TestHopeless a client can use no server.
func TestHopeless(t *testing.T) {
	for name, test := range map[string]struct {
		url  string
		opts []transport.ClientOption
		err  error // or nil for any
	}{
		"a URL that is invalid":    {"mem://%", nil, nil},
		"a scheme that is unknown": {"gopher://server", nil, carrier.ErrScheme},
		"no multiplexer for it":    {"mem://server", []transport.ClientOption{transport.WithMuxes(nativemux.New())}, transport.ErrNoCommonMux},
	} {
		t.Run(name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				opts := append(test.opts, transport.WithCarriers(s.network), transport.WithReconnect(transport.Backoff{}))
				_, err := transport.DialAndListen(test.url, nil, opts...)
				if err == nil || transport.Retryable(err) || test.err != nil && !errors.Is(err, test.err) {
					t.Errorf("error %v, want one after which nothing is tried", err)
				}
				if test.err == transport.ErrNoCommonMux {
					return
				}
				// What names the URL may have been told something wrong.
				calls := 0
				s.listen(t, transport.Backoff{}, transport.WithURLFunc(func(context.Context) (string, error) {
					if calls++; calls <= 3 {
						return test.url, nil
					}
					return "mem://server", nil
				}))
			})
		})
	}
}

// In TestNoCommonMuxOnce a server has another version for a while.
func TestNoCommonMuxOnce(t *testing.T) {
	reconnects(t, func(t *testing.T, s *site) {
		s.listen(t, transport.Backoff{})
		before := s.deploy(t, transport.WithMuxes(nativemux.New()))
		defer before.Close()
		(<-s.dialers).Close()
		time.Sleep(time.Hour)
		if n := s.count(); n < 10 || n > 40 {
			t.Errorf("%d attempts in an hour, want one in 2½ to 5 min", n)
		}
		s.deploy(t)
		<-s.dialers
	})
}

// In TestAuthorizeFails a service that authorize needs is away for a moment. The client only
// has to come back.
func TestAuthorizeFails(t *testing.T) {
	for name, failure := range map[string]func() error{
		"an error":         func() error { return errors.New("dial tcp 10.0.0.5:5432: connect: connection refused") },
		"no time":          func() error { return fmt.Errorf("query: %w", context.DeadlineExceeded) },
		"a panic":          func() error { panic(http.ErrAbortHandler) },
		"trouble, as such": func() error { return &carrier.RejectedError{StatusCode: 500} },
		"an answer of 302": func() error { return &carrier.RejectedError{StatusCode: 302} },
		"403 for a while": func() error {
			return &carrier.RejectedError{StatusCode: 403, Header: http.Header{"Retry-After": {"1"}}}
		},
		"a malformed header": func() error { return &carrier.RejectedError{StatusCode: 400} },
	} {
		t.Run(name, func(t *testing.T) {
			reconnects(t, func(t *testing.T, s *site) {
				var away atomic.Bool
				s.deploy(t, transport.WithAuthorize(func(*http.Request) error {
					if away.Swap(false) {
						return failure()
					}
					return nil
				}))
				s.listen(t, transport.Backoff{})
				d := <-s.dialers
				away.Store(true)
				d.Close()
				<-s.dialers
			})
		})
	}
}

// In TestVerdict a server sends a client away for good, over every network.
func TestVerdict(t *testing.T) {
	leak.Check(t)
	var refusal atomic.Pointer[error]
	dialers := make(chan *transport.Dialer, 10)
	certFile, keyFile, roots := certificate(t)
	server := serverFunc(t, func(d *transport.Dialer) { dialers <- d }, transport.WithCarriers(webtransport.New(), ws.New()),
		transport.WithAuthorize(func(*http.Request) error {
			if err := refusal.Load(); err != nil {
				return *err
			}
			return nil
		}))
	server.Addr = testnet.FreeAddr(t)
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServeTLS(certFile, keyFile) }()
	awaitListening(t, server.Addr)
	for _, by := range []carrier.Carrier{webtransport.New(), ws.New()} {
		refusal.Store(nil)
		told := new(changes)
		lis, err := transport.DialAndListenContext(within(t), "wss://"+server.Addr, nil, transport.WithCarriers(by),
			transport.WithTLSConfig(&tls.Config{RootCAs: roots}), transport.WithTrace(told.trace()),
			transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: time.Millisecond}))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		passing, final := error(&carrier.RejectedError{StatusCode: 402}), fmt.Errorf("token of 2019: %w", transport.ErrForbidden)
		refusal.Store(&passing)
		await.From(t, "Dialer", dialers).Close()
		await.Until(t, "refusals", func() bool {
			return slices.ContainsFunc(told.take(), func(c transport.StateChange) bool { return c.Refused == 3 })
		})
		refusal.Store(&final)
		await.From(t, "end of the listener", lis.Done())
		if err := lis.Err(); !rejectedWith(403)(err) || transport.Retryable(err) || strings.Contains(err.Error(), "2019") {
			t.Errorf("%s: error %v, want status 403, for good", by.Name(), err)
		}
	}
	server.Close()
	await.From(t, "end of ListenAndServeTLS", served)
}

// In TestVerdictIsLogged a client is sent away for good while it has another session.
func TestVerdictIsLogged(t *testing.T) {
	balances(t, func(t *testing.T, b *balancer) {
		var log syncBuffer
		b.add(t, "one")
		b.add(t, "two", transport.WithAuthorize(func(*http.Request) error { return transport.ErrUnauthorized }))
		lis, told := b.listen(t, 2, transport.WithLogger(textLogger(&log)))
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := lis.Err(); err != nil {
			t.Fatal("the listener has ended:", err)
		}
		if !strings.Contains(log.String(), "level=ERROR msg=\"backdial: gave up connecting again, for good\"") {
			t.Errorf("the log does not tell of it:\n%s", log.String())
		}
		all := told.take()
		if last := all[len(all)-1]; last.From != connected || last.To != connected || !rejectedWith(401)(last.Err) {
			t.Errorf("change %+v, want to stay connected, and status 401", last)
		}
	})
}

// In TestUnmarkedOverWebSocket a proxy in front of a server answers in its place.
func TestUnmarkedOverWebSocket(t *testing.T) {
	leak.Check(t)
	dialers := make(chan *transport.Dialer, 1)
	server := serverFunc(t, func(d *transport.Dialer) { dialers <- d })
	answers := make(chan http.HandlerFunc, 10)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case answer := <-answers:
			answer(w, r)
		default:
			server.ServeHTTP(w, r)
		}
	}))
	defer front.Close()
	lis, err := transport.DialAndListenContext(within(t), front.URL, nil,
		transport.WithReconnect(transport.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	for _, answer := range []http.HandlerFunc{
		status(http.StatusOK, ""),
		http.RedirectHandler("http://login.example/", http.StatusPermanentRedirect).ServeHTTP,
		http.NotFound,
		func(w http.ResponseWriter, r *http.Request) { // a proxy that does not pass on Upgrade
			r.Header.Del("Upgrade")
			server.ServeHTTP(w, r)
		},
		func(w http.ResponseWriter, r *http.Request) { // one that removes a part of the handshake
			r.Header.Del("Sec-WebSocket-Key")
			server.ServeHTTP(w, r)
		},
		func(w http.ResponseWriter, r *http.Request) { // one that changes Origin
			r.Header.Set("Origin", "http://proxy.example")
			server.ServeHTTP(w, r)
		},
		func(w http.ResponseWriter, r *http.Request) { // one of another protocol
			w.Header().Set("Upgrade", "h2c")
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(http.StatusSwitchingProtocols)
		},
	} {
		d := await.From(t, "Dialer", dialers)
		answers <- answer
		d.Close()
	}
	await.From(t, "Dialer", dialers)
}
