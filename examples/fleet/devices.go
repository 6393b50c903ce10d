package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A device of the demonstration.
type device struct {
	id      string
	carrier carrier.Carrier
	mux     mux.Muxer
	stays   time.Duration // then it is away for a while; 0 means forever
}

var devices = []device{
	{"kiosk-lobby", ws.New(), yamuxmux.New(), 0},
	{"kiosk-street", ws.New(), smuxmux.New(), 0},
	{"camera-gate", webtransport.New(), nativemux.New(), 0},
	{"camera-yard", webtransport.New(), yamuxmux.New(), 0},
	{"gateway-roof", ws.New(), yamuxmux.New(), 20 * time.Second},
	{"van-7", webtransport.New(), nativemux.New(), 10 * time.Second},
}

// simulate runs the devices, until ctx ends.
func simulate(ctx context.Context, url string, trust *tls.Config) {
	for _, d := range devices {
		go func() {
			for ctx.Err() == nil {
				if d.connect(ctx, url, trust) != nil {
					return
				}
				wait(ctx, d.stays/2+rand.N(time.Second))
			}
		}()
	}
}

// connect is a device from its start to its end.
func (d device) connect(ctx context.Context, url string, trust *tls.Config) error {
	if d.carrier.Name() == "webtransport" {
		url = strings.Replace(url, "http:", "https:", 1)
	}
	lis, err := transport.DialAndListenContext(ctx, url+"/connect", http.Header{"DeviceId": {d.id}},
		transport.WithCarriers(d.carrier), transport.WithMuxes(d.mux), transport.WithTLSConfig(trust),
		transport.WithReconnect(transport.Backoff{}))
	if err != nil {
		return err
	}
	go func() { // it ends the Serve below
		wait(ctx, d.stays)
		lis.Close()
	}()
	http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "I am %s, and my clock says %s.\n", d.id, time.Now().Format(time.TimeOnly))
	}))
	return ctx.Err()
}

// wait waits for d, or until ctx ends; 0 means forever.
func wait(ctx context.Context, d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		over = time.After(d)
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// pool trusts one certificate.
func pool(certificate tls.Certificate) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return roots
}
