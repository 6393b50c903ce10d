package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/carrier/ws"
	"github.com/backdial/backdial/internal/powers"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// A reshaping muxer changes what its streams are.
type reshaping struct {
	mux.Muxer
	reshape func(mux.Stream) mux.Stream
}

func (m reshaping) DialSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := m.Muxer.DialSide(conn, config)
	return reshapingSession{s, m.reshape}, err
}

func (m reshaping) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := m.Muxer.ListenSide(conn, config)
	return reshapingSession{s, m.reshape}, err
}

type reshapingSession struct {
	mux.Session
	reshape func(mux.Stream) mux.Stream
}

func (s reshapingSession) Open(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Open(ctx)
	if err != nil {
		return nil, err
	}
	return s.reshape(st), nil
}

func (s reshapingSession) Accept(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return s.reshape(st), nil
}

// optional tells which of the interfaces that callers look for conn implements.
func optional(conn net.Conn) (names []string) {
	note := func(name string, ok bool) {
		if ok {
			names = append(names, name)
		}
	}
	_, ok := conn.(io.WriterTo)
	note("io.WriterTo", ok)
	_, ok = conn.(io.ReaderFrom)
	note("io.ReaderFrom", ok)
	_, ok = conn.(io.StringWriter)
	note("io.StringWriter", ok)
	_, ok = conn.(syscall.Conn)
	note("syscall.Conn", ok)
	_, ok = conn.(mux.Checker)
	note("mux.Checker", ok)
	_, ok = conn.(mux.CodeResetter)
	note("mux.CodeResetter", ok)
	return names
}

// openOver returns both ends of a stream over a stack. They last until t is done.
func openOver(t *testing.T, target carriertest.Target, m mux.Muxer, opts ...transport.Option) (ends [2]net.Conn) {
	t.Helper()
	dialers := make(chan *transport.Dialer, 1)
	server := []transport.ServerOption{transport.WithCarriers(target.Carrier), transport.WithMuxes(m)}
	client := []transport.ClientOption{transport.WithCarriers(target.Carrier), transport.WithMuxes(m)}
	for _, o := range opts {
		server, client = append(server, o), append(client, o)
	}
	url, config, stop := target.Serve(t, serverFunc(t, func(d *transport.Dialer) { dialers <- d }, server...))
	lis, err := transport.DialAndListenContext(within(t), url, nil, append(client, transport.WithTLSConfig(config))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	stop()
	if ends[0], err = await.From(t, "Dialer", dialers).Dial(); err != nil {
		t.Fatal(err)
	}
	if ends[1], err = lis.Accept(); err != nil {
		t.Fatal(err)
	}
	return ends
}

// TestTraceKeepsInterfaces expects a traced stream of each multiplexer to implement exactly
// the interfaces of one without a trace.
func TestTraceKeepsInterfaces(t *testing.T) {
	overWS := carriertest.Target{Carrier: ws.New()}
	for _, stack := range []struct {
		carriertest.Target
		mux.Muxer
	}{
		{overWS, qmux.New()},
		{overWS, yamuxmux.New()},
		{overWS, smuxmux.New()},
		{carriertest.Target{Carrier: webtransport.New(), TLS: true}, nativemux.New()},
	} {
		t.Run(stack.Muxer.Name(), func(t *testing.T) {
			leak.Check(t)
			bare := openOver(t, stack.Target, stack.Muxer)
			traced := openOver(t, stack.Target, stack.Muxer,
				transport.WithTrace(transport.Trace{StreamMoved: func(transport.Info, int, int) {}}))
			for i, end := range []string{"dial side", "listen side"} {
				if want, got := optional(bare[i]), optional(traced[i]); !slices.Equal(got, want) {
					t.Errorf("%s: a traced stream implements %v, want %v", end, got, want)
				}
				if reflect.TypeOf(bare[i]) == reflect.TypeOf(traced[i]) {
					t.Errorf("%s: the stream is not traced", end)
				}
			}
		})
	}
}

// TestTraceKeepsPowers traces streams with each combination of optional interfaces.
func TestTraceKeepsPowers(t *testing.T) {
	for chosen := range 1 << 3 {
		writes, checks, codes := chosen&1 != 0, chosen&2 != 0, chosen&4 != 0
		t.Run(fmt.Sprintf("WriterTo %t, Checker %t, CodeResetter %t", writes, checks, codes), func(t *testing.T) {
			leak.Check(t)
			reshape := func(st mux.Stream) mux.Stream {
				p := powers.OfStream(st)
				if !writes {
					p.WriterTo = nil
				}
				if !checks {
					p.Checker = nil
				}
				if !codes {
					p.CodeResetter = nil
				}
				return p.Wrap(st)
			}
			moved := make(chan int, 100)
			ends := openOver(t, carriertest.Target{Carrier: ws.New()}, reshaping{qmux.New(), reshape}, transport.WithTrace(
				transport.Trace{StreamMoved: func(_ transport.Info, read, _ int) { moved <- read }}))
			for _, conn := range ends {
				_, w := conn.(io.WriterTo)
				_, c := conn.(mux.Checker)
				_, r := conn.(mux.CodeResetter)
				if w != writes || c != checks || r != codes {
					t.Errorf("WriterTo %t, Checker %t, CodeResetter %t", w, c, r)
				}
			}
			io.WriteString(ends[1], "hello")
			ends[1].(transport.Conn).CloseWrite()
			if n, err := io.Copy(io.Discard, ends[0]); n != 5 || err != nil { // however it reads
				t.Errorf("copied %d bytes, %v, want 5", n, err)
			}
			for read := 0; read < 5; {
				read += await.From(t, "bytes", moved)
			}
		})
	}
}
