package carriertest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/backdial/backdial/carrier"
	. "github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/carrier/ws"
)

// A fault is a mistake in a carrier, and the promises that it breaks.
type fault struct {
	name   string
	target Target
	breaks []Promise
}

var faults = []fault{{
	"OfferSorts",
	untimed(&faulty{offer: func(protocols []string, ok bool) ([]string, bool) {
		return slices.Sorted(slices.Values(protocols)), ok
	}}),
	[]Promise{AgreesUponProtocol},
}, {
	"OfferTakesAll",
	untimed(&faulty{offer: func(protocols []string, _ bool) ([]string, bool) {
		return protocols, true
	}}),
	[]Promise{IgnoresOthers},
}, {
	"ProtocolIsWrong",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return wrongProtocol{half(c)} }}),
	[]Promise{AgreesUponProtocol, AgreesUponNone},
}, {
	"DialAddsHeader",
	untimed(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		if r.Header != nil {
			r.Header.Set("User-Agent", "faulty")
		}
		return sound.Dial(ctx, r)
	}}),
	[]Promise{CarriesRequest},
}, {
	"AnswerUnheard",
	untimed(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		deaf := *r
		deaf.Answered = nil
		return sound.Dial(ctx, &deaf)
	}}),
	[]Promise{CarriesAnswer},
}, {
	"AnswerEmpty",
	untimed(&faulty{writer: func(w http.ResponseWriter) http.ResponseWriter {
		clear(w.Header())
		return w
	}}),
	[]Promise{CarriesAnswer},
}, {
	"DialIgnoresContext",
	untimed(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		return sound.Dial(context.WithoutCancel(ctx), r)
	}}),
	[]Promise{DialEndsWithContext},
}, {
	"DialHidesCause",
	untimed(&faulty{dial: func(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
		conn, err := sound.Dial(ctx, r)
		if err != nil {
			return nil, errors.New(err.Error())
		}
		return conn, nil
	}}),
	[]Promise{ReportsRejection, ReportsScheme, DialEndsWithContext},
}, {
	"CloseWriteLosesWrite",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return &tardy{closeWriter: half(c)} }}),
	[]Promise{EndsOneDirection, DeliversBeforeClose},
}, {
	"MessagesJoined",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return joining{c.(messageConn)} }}),
	[]Promise{KeepsMessages},
}, {
	"LastMessageLost",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return parting{c.(messageConn)} }}),
	[]Promise{KeepsMessages},
}, {
	"MessageSizeIgnored",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return boundless{c.(messageConn)} }}),
	[]Promise{KeepsMessages},
}, {
	"PromptWaits",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return waiting{c.(promptConn)} }}),
	[]Promise{WritesNow},
}, {
	"PromptRetains",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return &retaining{promptConn: c.(promptConn)} }}),
	[]Promise{WritesNow},
}, {
	"KeptIsLost",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return forgetful{c.(promptConn)} }}),
	[]Promise{WritesNow},
}, {
	"ReadNowWaits",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return blocking{c.(promptReadConn)} }}),
	[]Promise{ReadsNow},
}, {
	"ReadNowGarbles",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return garbling{c.(promptReadConn)} }}),
	[]Promise{ReadsNow},
}, {
	"CutIsEnd",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn {
		return readErr{half(c), func(err error) bool { return !errors.Is(err, net.ErrClosed) }}
	}}),
	[]Promise{CutIsNoEOF},
}, {
	"ClosedIsEnd",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn {
		return readErr{half(c), func(err error) bool { return errors.Is(err, net.ErrClosed) }}
	}}),
	[]Promise{CloseWakesRead, CloseIsFinal},
}, {
	"CloseWaitsForWrite",
	untimed(&faulty{wrap: func(c carrier.Conn) carrier.Conn { return &polite{closeWriter: half(c)} }}),
	[]Promise{CloseWakesWrite},
}, {
	"ServeReturnsNil",
	Target{Carrier: silent{mem.New()}, Scheme: "mem", Addr: "carriertest"},
	[]Promise{EndpointCloses},
}}

// sound is the carrier in which most faults are planted.
var sound carrier.Carrier = ws.New()

// faulty is sound with the functions that are not nil replaced.
type faulty struct {
	offer func(protocols []string, ok bool) ([]string, bool)
	dial  func(context.Context, *carrier.Request) (carrier.Conn, error)
	wrap  func(carrier.Conn) carrier.Conn

	writer func(http.ResponseWriter) http.ResponseWriter // that Upgrade is given
}

func (f *faulty) Name() string { return "faulty" }

func (f *faulty) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	dial := f.dial
	if dial == nil {
		dial = sound.Dial
	}
	return f.wrapped(dial(ctx, r))
}

func (f *faulty) Offer(r *http.Request) ([]string, bool) {
	protocols, ok := sound.Offer(r)
	if f.offer != nil {
		return f.offer(protocols, ok)
	}
	return protocols, ok
}

func (f *faulty) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	if f.writer != nil {
		w = f.writer(w)
	}
	return f.wrapped(sound.Upgrade(w, r, protocol))
}

func (f *faulty) wrapped(conn carrier.Conn, err error) (carrier.Conn, error) {
	if err != nil || f.wrap == nil {
		return conn, err
	}
	return f.wrap(conn), nil
}

type closeWriter interface {
	carrier.Conn
	carrier.CloseWriter
}

func half(c carrier.Conn) closeWriter { return c.(closeWriter) }

type messageConn interface {
	carrier.MessageConn
	carrier.CloseWriter
}

// joining joins several messages to one.
type joining struct{ messageConn }

func (c joining) WriteMessages(messages ...[]byte) error {
	_, err := c.Write(slices.Concat(messages...))
	return err
}

// parting ends without its last messages.
type parting struct{ messageConn }

func (c parting) WriteLast(...[]byte) error { return c.CloseWrite() }

// boundless takes messages of any size.
type boundless struct{ messageConn }

func (c boundless) NextMessage(int) (int, error) { return c.messageConn.NextMessage(1 << 30) }

type promptConn interface {
	messageConn
	carrier.PromptWriter
}

// waiting writes as Write does.
type waiting struct{ promptConn }

func (c waiting) WriteNow(messages ...[]byte) (bool, error) {
	return false, c.WriteMessages(messages...)
}

// retaining keeps its argument, rather than a copy.
type retaining struct {
	promptConn
	kept [][]byte
}

func (c *retaining) WriteNow(messages ...[]byte) (bool, error) {
	c.kept = append(c.kept, messages...)
	return true, nil
}

func (c *retaining) Flush() error {
	defer func() { c.kept = nil }()
	return c.WriteMessages(c.kept...)
}

// forgetful cuts the connection instead of writing what it has kept.
type forgetful struct{ promptConn }

func (c forgetful) Flush() error { return c.Close() }

type promptReadConn interface {
	messageConn
	carrier.PromptReader
}

// blocking reads as Read does.
type blocking struct{ promptReadConn }

func (c blocking) ReadNow(p []byte) int {
	n, _ := c.Read(p)
	return n
}

// garbling changes the first byte of what it reads.
type garbling struct{ promptReadConn }

func (c garbling) ReadNow(p []byte) int {
	n := c.promptReadConn.ReadNow(p)
	if n > 0 {
		p[0]++
	}
	return n
}

type wrongProtocol struct{ closeWriter }

func (wrongProtocol) Protocol() string { return "wrong.v1" }

// readErr takes errors of Read for the end.
type readErr struct {
	closeWriter
	isEnd func(error) bool
}

func (c readErr) Read(p []byte) (int, error) {
	n, err := c.closeWriter.Read(p)
	if err != nil && c.isEnd(err) {
		err = io.EOF
	}
	return n, err
}

// polite waits for Write before it closes.
type polite struct {
	closeWriter
	writing sync.Mutex
}

func (c *polite) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.closeWriter.Write(p)
}

func (c *polite) Close() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.closeWriter.Close()
}

// tardy sends the last byte of a write together with the next, or after a while, and
// forgets it in CloseWrite.
type tardy struct {
	closeWriter

	mu   sync.Mutex // guards below
	held []byte
}

func (c *tardy) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	all := slices.Concat(c.held, p)
	last := len(all) - 1
	c.held = all[last:]
	time.AfterFunc(300*time.Millisecond, c.flush)
	if _, err := c.closeWriter.Write(all[:last]); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *tardy) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeWriter.Write(c.held)
	c.held = nil
}

func (c *tardy) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = nil
	return c.closeWriter.CloseWrite()
}

// silent is mem, but Serve does not say why it returned.
type silent struct{ *mem.Carrier }

func (s silent) Listen(addr string, config *tls.Config, h http.Handler) (carrier.Endpoint, error) {
	e, err := s.Carrier.Listen(addr, config, h)
	return silentEndpoint{e}, err
}

type silentEndpoint struct{ carrier.Endpoint }

func (e silentEndpoint) Serve() error {
	e.Endpoint.Serve()
	return nil
}
