package transport_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A streaming is a mux that says that it needs streams of the carrier.
type streaming struct{ mux.Muxer }

func (streaming) Name() string     { return "native" }
func (streaming) Protocol() string { return "backdial.v1.native" }
func (streaming) NeedsStreams()    {}

// A streamful is a carrier that says that it has streams.
type streamful struct{ carrier.Carrier }

func (streamful) Name() string { return "streamful" }
func (streamful) HasStreams()  {}

// An offering records what is offered.
type offering struct {
	carrier.Carrier
	offered *[]string
}

func (c offering) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	*c.offered = slices.Clone(r.Protocols)
	return c.Carrier.Dial(ctx, r)
}

func TestMuxNeedsStreams(t *testing.T) {
	native, yamux, smux := streaming{yamuxmux.New()}, yamuxmux.New(), smuxmux.New()
	const ambitious, modest = "backdial.v1.native", "backdial.v1.yamux"
	for _, test := range []struct {
		name           string
		client, server []mux.Muxer
		streams        bool // of the client's carrier, and the server's
		offered        []string
		protocol       string
		err            string // a pattern
	}{{
		name:   "both can",
		client: []mux.Muxer{native, yamux}, server: []mux.Muxer{yamux, native}, streams: true,
		offered: []string{ambitious, modest}, protocol: ambitious,
	}, {
		name:   "the carrier cannot",
		client: []mux.Muxer{native, yamux}, server: []mux.Muxer{native, yamux},
		offered: []string{modest}, protocol: modest,
	}, {
		name:   "the client has no other",
		client: []mux.Muxer{native}, server: []mux.Muxer{native, yamux},
		err: `transport: ws: dial http://127.0.0.1:\d+: no multiplexer in common: native needs a carrier with streams of its own, ws has none`,
	}, {
		name:   "the server has no other",
		client: []mux.Muxer{smux, yamux}, server: []mux.Muxer{native}, offered: []string{smux.Protocol(), modest},
		err: `transport: ws: dial .*: server answered 400 Bad Request: "no multiplexer in common: native needs a carrier with streams of its own, ws has none"`,
	}, {
		name:   "the server has no other that the client offers",
		client: []mux.Muxer{native, smux}, server: []mux.Muxer{native, yamux}, offered: []string{smux.Protocol()},
		err: `transport: ws: dial .*: "no multiplexer in common: client offers backdial.v1.smux, server has backdial.v1.yamux"`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			leak.Check(t)
			by := carrier.Carrier(ws.New())
			if test.streams {
				by = streamful{by}
			}
			srv := httptest.NewServer(serverFunc(t, nil, transport.WithCarriers(by), transport.WithMuxes(test.server...)))
			defer srv.Close()
			var offered []string
			recorded := carrier.Carrier(offering{by, &offered})
			if test.streams {
				recorded = streamful{recorded}
			}
			lis, err := transport.DialAndListenContext(within(t), srv.URL, nil, transport.WithCarriers(recorded), transport.WithMuxes(test.client...))
			if !slices.Equal(offered, test.offered) {
				t.Errorf("offered %q, want %q", offered, test.offered)
			}
			if test.err != "" {
				if err == nil || !regexp.MustCompile("^"+test.err+"$").MatchString(err.Error()) {
					t.Errorf("error\n\t%v, want\n\t%s", err, test.err)
				}
				if test.offered == nil && !errors.Is(err, transport.ErrNoCommonMux) {
					t.Errorf("error %v, want transport.ErrNoCommonMux", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer lis.Close()
			if got := lis.Info().Protocol; got != test.protocol {
				t.Errorf("negotiated %q, want %q", got, test.protocol)
			}
		})
	}
}

// A server may offer a client's carrier a mux that cannot run on it.
func TestMuxWithoutStreamsPicked(t *testing.T) {
	leak.Check(t)
	_, err := transport.DialAndListenContext(within(t), picks("backdial.v1.native")(t), nil,
		transport.WithMuxes(streaming{yamuxmux.New()}, yamuxmux.New()))
	if !errors.Is(err, transport.ErrNoCommonMux) || !strings.Contains(err.Error(), `server picked "backdial.v1.native", which was not offered`) {
		t.Errorf("error %v, want transport.ErrNoCommonMux", err)
	}
}

// A carrier with streams is tried, then the mux that needs them is left out.
func TestMuxPerCarrier(t *testing.T) {
	leak.Check(t)
	srv := httptest.NewServer(serverFunc(t, nil))
	defer srv.Close()
	broken := streamful{&detour{Carrier: ws.New(), way: refuses(errors.New("no path"))}}
	muxes := transport.WithMuxes(streaming{yamuxmux.New()}, yamuxmux.New())
	lis, err := transport.DialAndListenContext(within(t), srv.URL, nil, transport.WithCarriers(broken, ws.New()), muxes)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if info := lis.Info(); info.Carrier != "ws" || info.Mux != "yamux" || info.Fallback == nil {
		t.Errorf("session %+v", info)
	}
}
