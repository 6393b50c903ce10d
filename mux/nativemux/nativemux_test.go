package nativemux_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/faultnet"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/nativemux"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestContract(t *testing.T) {
	long.Shorten(t)
	muxtest.TestSessions(t, connect)
}

// A link is the network under one end of a connection.
type link struct {
	carrier.Conn
	network *faultnet.UDP
}

func (l link) Cut()    { l.Close() }
func (l link) Freeze() { l.network.Freeze() }

// connect makes a session over WebTransport and waits until both ends have heard from
// each other: before that an end cannot tell whether its peer is silent. On a busy machine
// a session with a short keepalive may have ended by then. Its test decides what that means.
func connect(t *testing.T, dial, listen mux.Config) (p muxtest.Pair) {
	t.Helper()
	server, client, network := connection(t)
	p.DialLink, p.ListenLink = link{server, network}, link{client, network}
	var err error
	if p.Dial, err = nativemux.New().DialSide(server, dial); err != nil {
		t.Fatal(err)
	}
	if p.Listen, err = nativemux.New().ListenSide(client, listen); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Dial.Ping(ctx); err != nil && !errors.Is(err, mux.ErrSessionEnded) {
		t.Fatal("ping:", err)
	}
	return p
}

// connection makes a connection through a network.
func connection(t *testing.T) (server, client carrier.Conn, network *faultnet.UDP) {
	t.Helper()
	target := carriertest.Target{Carrier: webtransport.New(), TLS: true}
	upgraded := make(chan carrier.Conn, 1)
	address, tls, stop := target.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := target.Carrier.Upgrade(w, r, "backdial.v1.native")
		if err != nil {
			t.Error("upgrade:", err)
			return
		}
		upgraded <- conn
	}))
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	network = testnet.UDP(t, u.Host, 0)
	u.Host = network.Addr()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err = target.Carrier.Dial(ctx, &carrier.Request{URL: u, Protocols: []string{"backdial.v1.native"}, TLS: tls})
	if err != nil {
		t.Fatal("dial:", err)
	}
	stop()
	server = <-upgraded
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			client.Close()
		}()
		server.Close() // both wait, if nothing passes between them
		<-closed
	})
	return server, client, network
}
