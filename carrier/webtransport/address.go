package webtransport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/backdial/backdial/internal/race"
)

// headStart is how long an address is tried before the next one is tried too, as RFC
// 8305, section 8, recommends.
const headStart = 250 * time.Millisecond

// dialHost connects to one of a host's addresses.
func (c *Carrier) dialHost(ctx context.Context, host, port string, config *tls.Config, q *quic.Config) (*quic.Conn, error) {
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	attempts := make([]race.Attempt[*quic.Conn], len(ips))
	for i, ip := range ips {
		addr := netip.AddrPortFrom(ip.Unmap(), uint16(number))
		attempts[i] = func(ctx context.Context, _ time.Time) (*quic.Conn, error) {
			qconn, err := c.dialUDP(ctx, net.UDPAddrFromAddrPort(addr), config, q)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", addr, handshakeError(err))
			}
			return qconn, nil
		}
	}
	_, qconn, errs := race.First(ctx, headStart, attempts, hangUp)
	if qconn != nil {
		return qconn, nil
	}
	return nil, all(errs)
}

// all joins errs, some of which may be nil, on one line.
func all(errs []error) (err error) {
	for _, e := range errs {
		switch {
		case e == nil:
		case err == nil:
			err = e
		default:
			err = fmt.Errorf("%w; %w", err, e)
		}
	}
	return err
}
