package fleet_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

// identifies serves a fleet with a function of the user's.
func identifies(t *testing.T, identify fleet.Identify) *site {
	s := &site{Fleet: fleet.New(identify), network: mem.New()}
	s.serve(t, "server", transport.WithAuthorize(s.Authorize), transport.WithHandshakeTimeout(5*time.Second))
	return s
}

func TestAuthorize(t *testing.T) {
	for _, test := range []struct {
		name     string
		identify fleet.Identify
		header   http.Header
		status   int
		says     string
	}{
		{"no header", fleet.ByHeader("DeviceId"), nil, 400, "the request has 0 headers DeviceId, want one"},
		{"two headers", fleet.ByHeader("DeviceId"), http.Header{"Deviceid": {"1", "2"}}, 400, "the request has 2 headers DeviceId, want one"},
		{"empty ID", fleet.ByHeader("DeviceId"), http.Header{"Deviceid": {""}}, 400, `"": an ID is 1 to 128 letters`},
		{"strange ID", fleet.ByHeader("DeviceId"), http.Header{"Deviceid": {"../<1>"}}, 400, `"../<1>": an ID is 1 to 128 letters`},
		{"long ID", fleet.ByHeader("DeviceId"), http.Header{"Deviceid": {strings.Repeat("x", 10_000)}}, 400, `xxx": an ID is 1 to 128 letters`},
		{"error", func(*http.Request) (string, error) { return "", errors.New("a secret of the server") }, nil, 503, "Service Unavailable"},
		{"status", func(*http.Request) (string, error) {
			return "", fmt.Errorf("token: %w", &carrier.RejectedError{StatusCode: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}})
		}, nil, 401, "Unauthorized"},
		{"panic", func(*http.Request) (string, error) { panic(http.ErrAbortHandler) }, nil, 500, "Internal Server Error"},
		{"does not answer", func(r *http.Request) (string, error) { time.Sleep(time.Hour); return "1", nil }, nil, 503, "Service Unavailable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := identifies(t, test.identify)
				began := time.Now()
				_, err := transport.DialAndListen("mem://server", test.header, transport.WithCarriers(s.network))
				rejected, ok := errors.AsType[*carrier.RejectedError](err)
				if !ok || rejected.StatusCode != test.status || !strings.Contains(string(rejected.Body), test.says) || strings.Contains(err.Error(), "secret") {
					t.Errorf("error %v, want status %d and %q", err, test.status, test.says)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the answer took %v", took)
				}
				if s.Len() != 0 {
					t.Error("the client is in the fleet")
				}
				time.Sleep(time.Hour) // until the function has returned
			})
		})
	}
}

// TestWithoutAuthorize identifies clients that are connected already.
func TestWithoutAuthorize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &site{Fleet: fleet.New(fleet.ByHeader("DeviceId"), fleet.WithDuplicates(fleet.RejectNewer)), network: mem.New()}
		s.serve(t, "server")
		s.connect(t, "1", "one")
		synctest.Wait()
		s.reaches(t, "1", "one")
		for id, reason := range map[string]string{
			"1":          "a client with this ID is already connected",
			"":           `400 Bad Request: client ID "": ` + fleet.ErrInvalidID.Error(),
			"../<1>\x00": `400 Bad Request: client ID "../<1>\x00": ` + fleet.ErrInvalidID.Error(),
		} {
			lis := s.connect(t, id, "two")
			<-lis.Done()
			if closed, ok := errors.AsType[*transport.ClosedError](lis.Err()); !ok || closed.Reason != reason {
				t.Errorf("client %q ends with %v, want %q", id, lis.Err(), reason)
			}
		}
		s.reaches(t, "1", "one")
	})
}

// TestIdentifyByRequest makes identities of all parts of a request, with Authorize and
// without.
func TestIdentifyByRequest(t *testing.T) {
	identify := func(r *http.Request) (string, error) {
		if r.RemoteAddr == "" || r.Method == "" {
			return "", errors.New("not a request")
		}
		return r.URL.Query().Get("id"), nil
	}
	bubble(t, func(t *testing.T) {
		s := identifies(t, identify)
		s.serve(t, "other")
		for _, url := range []string{"mem://server/devices?id=1", "mem://other/devices?id=2"} {
			lis, err := transport.DialAndListen(url, nil, transport.WithCarriers(s.network))
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			go answer(lis, "x")
		}
		synctest.Wait()
		s.reaches(t, "1", "x")
		s.reaches(t, "2", "x")
	})
}

// TestFleetsInARow chains the authorize functions of fleets.
func TestFleetsInARow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		byHeader, byPath := fleet.New(fleet.ByHeader("DeviceId")), fleet.New(func(r *http.Request) (string, error) { return r.URL.Path[1:], nil })
		s := &site{Fleet: byHeader, network: mem.New()}
		s.server = transport.NewServer(transport.EndpointHandlerFunc(func(d *transport.Dialer) {
			byHeader.HandleEndpoint(d)
			byPath.HandleEndpoint(d)
		}), transport.WithCarriers(s.network), transport.WithAuthorize(func(r *http.Request) error {
			return errors.Join(byHeader.Authorize(r), byPath.Authorize(r))
		}))
		e, err := s.network.Listen("server", nil, s.server)
		if err != nil {
			t.Fatal(err)
		}
		go e.Serve()
		defer e.Close()
		defer s.server.Close()
		lis, err := transport.DialAndListen("mem://server/path", http.Header{"Deviceid": {"header"}}, transport.WithCarriers(s.network))
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		synctest.Wait()
		one, _ := byHeader.Lookup("header")
		two, _ := byPath.Lookup("path")
		if one == nil || one != two {
			t.Errorf("the client is %v and %v", one, two)
		}
	})
}
