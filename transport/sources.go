package transport

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/backdial/backdial/internal/setting"
)

// AddressLimits limit what comes from one source address, so that a client or a site that
// misbehaves leaves room for others.
type AddressLimits struct {
	// Sessions is how many clients may be connected at a time. 0 and negative values mean
	// no limit.
	Sessions int

	// Handshakes is how many handshakes may be under way at a time. 0 and negative values
	// mean no limit.
	Handshakes int

	// IPv6Prefix is how many leading bits of an IPv6 address count as the address, because a
	// single host has many addresses. 0 means 64; negative, or more than 128, means
	// the whole address.
	IPv6Prefix int

	// TrustedProxies are the addresses of proxies to trust. If a request comes from one, its
	// source is the last address in the header X-Forwarded-For that is not one of theirs. The
	// server ignores that header otherwise: anybody can send it.
	TrustedProxies []netip.Prefix
}

// WithAddressLimits limits what comes from one source address. More is refused with
// status 429 and a Retry-After header. Without this option there is no such limit,
// because many clients may share an address: those behind one NAT, and all of them if
// the server is behind a proxy that is not among TrustedProxies. Requests whose
// RemoteAddr has no IP address, as in memory, are not limited.
func WithAddressLimits(limits AddressLimits) ServerOption {
	const addressBits = 128
	limits.IPv6Prefix = min(setting.Limit(limits.IPv6Prefix, 64), addressBits)
	limits.TrustedProxies = slices.Clone(limits.TrustedProxies)
	return serverOption(func(c *config) { c.address = limits })
}

// A source is where a client comes from: a range of addresses that count as one. The zero
// value is not valid, and has no limits.
type source = netip.Prefix

// sourceOf returns the source of a request.
func (l *AddressLimits) sourceOf(r *http.Request) source {
	if l.Sessions <= 0 && l.Handshakes <= 0 {
		return source{}
	}
	addr, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return source{}
	}
	if l.trusts(addr) {
		addr = l.forwarded(addr, r.Header["X-Forwarded-For"])
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = l.IPv6Prefix
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// forwarded returns the address that a trusted proxy speaks for. It is the proxy itself if the
// header names none, or something other than an address.
func (l *AddressLimits) forwarded(proxy netip.Addr, header []string) netip.Addr {
	for _, field := range slices.Backward(header) {
		for field != "" {
			i := strings.LastIndexByte(field, ',') + 1
			addr, ok := parseAddr(strings.TrimSpace(field[i:]))
			if !ok {
				return proxy
			}
			if !l.trusts(addr) {
				return addr
			}
			proxy, field = addr, field[:max(i-1, 0)]
		}
	}
	return proxy
}

func (l *AddressLimits) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(l.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseAddr returns the address in s, which may have a port.
func parseAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// A usage counts what a source has.
type usage struct{ handshakes, sessions int }

// useLocked adds to what a source has.
func (s *Server) useLocked(from source, handshakes, sessions int) {
	if !from.IsValid() {
		return
	}
	u := s.usage[from]
	u.handshakes += handshakes
	u.sessions += sessions
	if u == (usage{}) {
		delete(s.usage, from)
	} else {
		s.usage[from] = u
	}
}

// checkSourceLocked refuses a source that has as much as it may have.
func (s *Server) checkSourceLocked(from source) error {
	u, limits := s.usage[from], s.config.address
	switch {
	case limits.Handshakes > 0 && u.handshakes >= limits.Handshakes:
		return later(http.StatusTooManyRequests, fmt.Errorf("transport: %d handshakes of %v are under way", u.handshakes, from), handshakesRetryAfter)
	case limits.Sessions > 0 && u.sessions+u.handshakes >= limits.Sessions:
		return later(http.StatusTooManyRequests, fmt.Errorf("transport: %v has %d clients", from, u.sessions), sessionsRetryAfter)
	}
	return nil
}
