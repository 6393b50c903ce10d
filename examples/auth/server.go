package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

// A site is a server. Devices get tokens at /token and connect at /connect; users reach them
// below /devices/.
type site struct {
	http.Handler
	key     ed25519.PrivateKey // signs tokens; its public half verifies them
	devices *fleet.Fleet
	server  *transport.Server

	mu       sync.Mutex
	accounts map[string]account // of devices, by ID
}

// An account is what is known of a device.
type account struct {
	secret  [sha256.Size]byte // a hash of the one that it was made with
	revoked bool
}

// tokenLife is short: a token is used at once. Sessions live on when it has expired.
const tokenLife = time.Minute

// newSite makes a server that has clients authorized anew when a session is maxAge old.
func newSite(maxAge time.Duration) *site {
	s := &site{accounts: make(map[string]account)}
	_, s.key, _ = ed25519.GenerateKey(nil) // a real one is in a file
	s.devices = fleet.New(s.identify, fleet.WithWaitForClient())
	s.server = transport.NewServer(s.devices, transport.WithAuthorize(s.devices.Authorize), transport.WithMaxAge(maxAge))
	pages := http.NewServeMux()
	pages.HandleFunc("POST /token", s.token)
	pages.Handle("/connect", s.server)
	pages.Handle("/devices/{id}/", s.forUser(http.StripPrefix("/devices", &fleet.ReverseProxy{
		Fleet: s.devices,
		// A device has no business with what authenticates its users.
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.Header.Del("Authorization"); r.Out.Header.Del("Cookie") },
	})))
	s.Handler = pages
	return s
}

// identify returns the ID of a device: the one in its token. Whatever else the device says
// of itself, such as a header DeviceId, is not looked at.
func (s *site) identify(r *http.Request) (id string, err error) {
	c, err := verify(s.public(), bearer(r), forDevices)
	if err != nil {
		// With Retry-After the device comes back, and gets another token for that. Without, a
		// mistake of ours with keys or clocks would send all devices away for good.
		header := http.Header{"WWW-Authenticate": {"Bearer"}, "Retry-After": {"1"}}
		return "", errors.Join(&carrier.RejectedError{StatusCode: http.StatusUnauthorized, Header: header}, err)
	}
	if a, ok := s.account(c.Subject); !ok || a.revoked {
		return "", fmt.Errorf("device %q is revoked: %w", c.Subject, transport.ErrForbidden) // for good
	}
	return c.Subject, nil
}

// token gives a device a token for its secret, also one that is revoked: only identify sends
// it away.
func (s *site) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	given := sha256.Sum256([]byte(secret)) // a secret is long and random, so this need not be slow
	a, ok := s.account(id)
	if subtle.ConstantTimeCompare(given[:], a.secret[:]) != 1 || !ok {
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "no such device, or not its secret", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, sign(s.key, claims{Subject: id, Audience: forDevices, Expires: time.Now().Add(tokenLife)}))
}

// forUser lets users through to the devices that are theirs. A page for browsers would keep
// the token in a cookie.
func (s *site) forUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := verify(s.public(), bearer(r), forUsers)
		switch {
		case err != nil:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case !slices.Contains(c.Devices, r.PathValue("id")):
			http.Error(w, "this device is not yours", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// login returns a user's token. It stands for the login that you have.
func (s *site) login(user string, devices ...string) string {
	return sign(s.key, claims{Subject: user, Audience: forUsers, Devices: devices, Expires: time.Now().Add(time.Hour)})
}

// enroll lets a device connect, and returns its secret.
func (s *site) enroll(id string) (secret string) {
	secret = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[id] = account{secret: sha256.Sum256([]byte(secret))}
	return secret
}

// revoke sends a device away. It comes back once, and is told that this is for good.
func (s *site) revoke(id string) {
	s.mu.Lock()
	a := s.accounts[id]
	a.revoked = true
	s.accounts[id] = a // first, or the device might be back before that
	s.mu.Unlock()
	s.devices.Kick(id, "revoked")
}

func (s *site) account(id string) (a account, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok = s.accounts[id]
	return a, ok
}

func (s *site) public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }
