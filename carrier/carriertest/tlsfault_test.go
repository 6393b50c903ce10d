package carriertest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
)

// tlsFaults are mistakes of carriers with TLS settings.
var tlsFaults = []fault{{
	"NothingIsVerified",
	changingTLS(func(c *tls.Config) { c.InsecureSkipVerify = true }),
	[]Promise{VerifiesServer},
}, {
	"NameIsNotVerified",
	changingTLS(func(c *tls.Config) {
		roots, next := c.RootCAs, c.VerifyConnection
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(state tls.ConnectionState) error {
			if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots}); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
			if next != nil {
				return next(state)
			}
			return nil
		}
	}),
	[]Promise{VerifiesServer},
}, {
	"ServerNameIsIgnored",
	changingTLS(func(c *tls.Config) { c.ServerName = "" }),
	[]Promise{VerifiesServer},
}, {
	"VerifyConnectionIsIgnored",
	changingTLS(func(c *tls.Config) { c.VerifyConnection = nil }),
	[]Promise{VerifiesServer},
}, {
	"RequestIsSentUnverified",
	securely(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		conn, err := sound.Dial(ctx, r)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			unverified := withTLS(r, func(c *tls.Config) { c.InsecureSkipVerify = true })
			if conn, err := sound.Dial(ctx, unverified); err == nil {
				conn.Close()
			}
		}
		return conn, err
	}}),
	[]Promise{VerifiesServer},
}, {
	"ClientCertificateIsLost",
	changingTLS(func(c *tls.Config) { c.Certificates, c.GetClientCertificate = nil, nil }),
	[]Promise{PresentsCertificate},
}, {
	"GetClientCertificateIsIgnored",
	changingTLS(func(c *tls.Config) { c.GetClientCertificate = nil }),
	[]Promise{PresentsCertificate},
}, {
	"TLSIgnoresContext",
	securely(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", r.URL.Host)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() // for as long as it takes
		return sound.Dial(ctx, r)
	}}),
	[]Promise{DialEndsWithContext},
}}

// securely is a target with TLS for faults that do not concern timeouts.
func securely(c carrier.Carrier) Target {
	return Target{Carrier: c, Impatient: impatient, TLS: true}
}

// changingTLS is a target whose Dial changes its TLS settings.
func changingTLS(change func(*tls.Config)) Target {
	return securely(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		return sound.Dial(ctx, withTLS(r, change))
	}})
}

// withTLS returns r with other TLS settings.
func withTLS(r *carrier.Request, change func(*tls.Config)) *carrier.Request {
	changed := *r
	if changed.TLS = r.TLS.Clone(); changed.TLS == nil {
		changed.TLS = new(tls.Config)
	}
	change(changed.TLS)
	return &changed
}
