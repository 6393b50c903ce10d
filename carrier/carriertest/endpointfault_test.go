package carriertest_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
)

// endpointFaults are mistakes of carriers that listen by themselves.
var endpointFaults = []fault{{
	"EndpointIsUnbounded",
	Target{
		Carrier:   listening{Carrier: sound},
		Impatient: listening{Carrier: impatient, change: func(s *http.Server) { s.ReadHeaderTimeout = 0 }},
	},
	[]Promise{BoundsHandshakes},
}, {
	"RequestMayBeEndless",
	Target{
		Carrier: listening{Carrier: sound},
		Impatient: listening{Carrier: impatient, change: func(s *http.Server) {
			s.MaxHeaderBytes = 1 << 30
		}},
	},
	[]Promise{BoundsHandshakes},
}, {
	"OneHandshakeAtATime",
	Target{
		Carrier:   listening{Carrier: sound},
		Impatient: listening{Carrier: impatient, listener: func(ln net.Listener) net.Listener { return inTurn{ln} }},
		TLS:       true,
	},
	[]Promise{BoundsHandshakes},
}, {
	"HandshakesOutliveEndpoint",
	onTCP(listening{Carrier: sound, keeps: true}),
	[]Promise{EndpointCloses},
}, {
	"PortOutlivesEndpoint",
	onTCP(listening{Carrier: sound, stays: true}),
	[]Promise{EndpointCloses},
}, {
	"PanicIsNotRecovered",
	onTCP(changingServer(func(h http.Handler, w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(w, r)
		}()
		<-done
	})),
	[]Promise{SurvivesPanic},
}, {
	"RequestLacksHost",
	onTCP(changingRequest(func(r *http.Request) { r.Host = "" })),
	[]Promise{CarriesRequest},
}, {
	"RequestLacksRemoteAddr",
	onTCP(changingRequest(func(r *http.Request) { r.RemoteAddr = "" })),
	[]Promise{CarriesRequest},
}, {
	"RequestLacksTLS",
	Target{
		Carrier:   changingRequest(func(r *http.Request) { r.TLS = nil }),
		Impatient: impatientOnTCP,
		TLS:       true,
	},
	[]Promise{CarriesRequest, PresentsCertificate},
}, {
	"CutIsEndOfListeners",
	onTCP(listening{Carrier: &faulty{wrap: func(c carrier.Conn) carrier.Conn {
		return readErr{half(c), func(err error) bool { return !errors.Is(err, net.ErrClosed) }}
	}}}),
	[]Promise{CutIsNoEOF},
}}

// onTCP is a target for faults that do not concern timeouts.
func onTCP(l listening) Target {
	return Target{Carrier: l, Impatient: impatientOnTCP}
}

// changingServer is a carrier with another way to serve.
func changingServer(serve func(http.Handler, http.ResponseWriter, *http.Request)) listening {
	return listening{Carrier: sound, change: func(s *http.Server) {
		h := s.Handler
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(h, w, r) })
	}}
}

// changingRequest is a carrier whose handlers see another request.
func changingRequest(change func(*http.Request)) listening {
	return changingServer(func(h http.Handler, w http.ResponseWriter, r *http.Request) {
		change(r)
		h.ServeHTTP(w, r)
	})
}

// An inTurn finishes a TLS handshake before it accepts the next connection.
type inTurn struct{ net.Listener }

func (ln inTurn) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err == nil {
		conn.(*tls.Conn).Handshake()
	}
	return conn, err
}
