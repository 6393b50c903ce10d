package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/transport"
)

// A linkedSession is a session with links under its ends that can fail.
type linkedSession struct {
	session
	dial, listen muxtest.Link
}

// An ending is a way for a session to end, and the reasons that its ends must give.
type ending struct {
	name           string
	end            func(*testing.T, linkedSession)
	server, client transport.EndReason // "" if several may be true

	serverOptions []transport.ServerOption
	clientOptions []transport.ClientOption

	slow bool // it takes seconds, beside the others
}

// short is a keepalive that notices a silent end soon, on a busy machine too.
var short = transport.WithKeepAlive(250*time.Millisecond, 250*time.Millisecond)

var endings = []ending{{
	name:   "the client closes",
	end:    func(_ *testing.T, s linkedSession) { s.listener.Close() },
	server: transport.EndClosedByPeer, client: transport.EndClosed,
}, {
	name:   "the server closes",
	end:    func(_ *testing.T, s linkedSession) { s.dialer.Close() },
	server: transport.EndClosed, client: transport.EndClosedByPeer,
}, {
	name:   "the server closes with a text",
	end:    func(_ *testing.T, s linkedSession) { s.dialer.CloseWithReason("enough") },
	server: transport.EndClosed, client: transport.EndClosedByPeer,
}, {
	name:   "kicked",
	end:    closeBecause(transport.EndKicked),
	server: transport.EndKicked, client: transport.EndKicked,
}, {
	name:   "replaced",
	end:    closeBecause(transport.EndReplaced),
	server: transport.EndReplaced, client: transport.EndReplaced,
}, {
	name:   "refused",
	end:    closeBecause(transport.EndRefused),
	server: transport.EndRefused, client: transport.EndRefused,
}, {
	name:   "no reason that there is",
	end:    closeBecause("a word of somebody's own"),
	server: transport.EndClosed, client: transport.EndClosedByPeer,
}, {
	name:   "the client shuts down",
	end:    func(t *testing.T, s linkedSession) { s.listener.Shutdown(t.Context()) },
	server: transport.EndShutdown, client: transport.EndShutdown,
}, {
	name:   "the server shuts down",
	end:    func(t *testing.T, s linkedSession) { s.server.Shutdown(t.Context()) },
	server: transport.EndShutdown, client: transport.EndShutdown,
}, {
	name:   "a client that cannot move is asked to",
	end:    func(t *testing.T, s linkedSession) { s.dialer.Shutdown(t.Context()) },
	server: transport.EndShutdown, client: transport.EndShutdown,
}, {
	name:   "too old",
	end:    func(*testing.T, linkedSession) {},
	server: transport.EndTooOld, client: transport.EndTooOld,
	serverOptions: []transport.ServerOption{transport.WithMaxAge(time.Second)},
}, {
	name:   "silent",
	end:    func(_ *testing.T, s linkedSession) { s.dial.Freeze(); s.listen.Freeze() },
	server: transport.EndSilent, client: transport.EndSilent,
	serverOptions: []transport.ServerOption{short},
	clientOptions: []transport.ClientOption{short},
}, {
	name: "silent while it is asked to move", slow: true,
	end: func(t *testing.T, s linkedSession) {
		s.dial.Freeze()
		s.listen.Freeze()
		go s.listener.Close() // it takes a while too
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s.dialer.Shutdown(ctx)
	},
	server: transport.EndSilent, client: transport.EndClosed,
}, {
	name:   "lost",
	end:    func(_ *testing.T, s linkedSession) { s.dial.Cut(); s.listen.Cut() },
	server: transport.EndLost, client: transport.EndLost,
}, {
	name: "protocol",
	end: func(t *testing.T, s linkedSession) {
		for s.dialer.Err() == nil {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if c, err := s.listener.DialContext(ctx, "", ""); err == nil { // which it may not
				c.SetDeadline(time.Now().Add(patience))
				c.Read(make([]byte, 1))
				c.Close()
			}
			cancel()
		}
	},
	server: transport.EndProtocol, // the client knows only that the server has closed it
}}

func closeBecause(reason transport.EndReason) func(*testing.T, linkedSession) {
	return func(_ *testing.T, s linkedSession) {
		s.dialer.CloseBecause(fmt.Errorf("%w: a secret", reason), "enough")
	}
}

// endReasons ends sessions in every way except a move: see clientMoves.
func endReasons(t *testing.T, s Stack) {
	_, streams := s.Carrier.(carrier.StreamCarrier)
	var all sync.WaitGroup
	defer all.Wait()
	for _, e := range endings {
		test := func(t *testing.T) {
			if streams && e.name == "lost" {
				t.Skip("a connection over UDP that is lost is silent")
			}
			server, client := make(chan error, 10), make(chan error, 10)
			made, dial, listen := s.startLinked(t,
				append(e.serverOptions, transport.WithTrace(tellGone(server))),
				append(e.clientOptions, transport.WithTrace(tellGone(client))))
			go serveEcho(made.listener)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := made.dialer.Ping(ctx); err != nil { // the session then knows that the client answers
				t.Fatal("ping:", err)
			}
			e.end(t, linkedSession{made, dial, listen})
			checkEnd(t, "server", await(t, "end of the server's session", server), e.server)
			checkEnd(t, "client", await(t, "end of the client's session", client), e.client)
			checkEnd(t, "Dialer", made.dialer.Err(), e.server)
			await(t, "end of the listener", made.listener.Done())
			checkEnd(t, "Listener", made.listener.Err(), e.client)
		}
		if e.slow && !s.alone() {
			all.Go(func() { t.Run(e.name, test) })
		} else {
			t.Run(e.name, test)
		}
	}
}

func tellGone(to chan<- error) transport.Trace {
	return transport.Trace{ClientGone: func(_ transport.Info, err error) { to <- err }}
}

func checkEnd(t *testing.T, who string, err error, want transport.EndReason) {
	t.Helper()
	got := transport.EndReasonOf(err)
	if got == "" || want != "" && (got != want || !errors.Is(err, want)) {
		t.Errorf("%s: %q because of %v, want %q", who, got, err, want)
	}
}
