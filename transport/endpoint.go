package transport

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/redact"
)

// An httpEndpoint listens for clients of the carriers that upgrade an HTTP request.
type httpEndpoint struct {
	server *http.Server
	ln     *onceListener
}

func (s *Server) httpEndpoint(ln net.Listener) *httpEndpoint {
	return &httpEndpoint{&http.Server{
		Handler: s,
		// The upgrade clears both.
		ReadTimeout:    s.config.handshakeTimeout,
		WriteTimeout:   s.config.handshakeTimeout + answerTime,
		MaxHeaderBytes: maxHeaderBytes - headerSlack,
		ErrorLog:       redact.Logger(s.config.logger, slog.LevelWarn),
	}, &onceListener{Listener: ln}}
}

func (e *httpEndpoint) Serve() error { return e.server.Serve(e.ln) }

func (e *httpEndpoint) Addr() net.Addr { return e.ln.Addr() }

func (e *httpEndpoint) Close() error {
	return errors.Join(e.ln.Close(), e.server.Close())
}

// A onceListener closes its listener once: some listeners fail when closed twice.
type onceListener struct {
	net.Listener
	once sync.Once
	err  error
}

func (l *onceListener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// An advertising names endpoints in every answer.
type advertising struct {
	http.Handler
	endpoints []carrier.Advertised
}

func (a advertising) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var services []string
	for _, e := range a.endpoints {
		services = append(services, e.AltSvc())
	}
	services = slices.DeleteFunc(services, func(s string) bool { return s == "" })
	if len(services) > 0 {
		w.Header()["Alt-Svc"] = services
	}
	a.Handler.ServeHTTP(w, r)
}
