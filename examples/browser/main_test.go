//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/chromium"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

// patience bounds every wait, on a loaded machine under the race detector.
const patience = time.Minute

func TestRun(t *testing.T) {
	leak.Check(t)
	browser := chromium.Find(t)
	ctx, stop := context.WithCancel(t.Context())
	out, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, "127.0.0.1:0", w)
		w.Close()
	}()
	lines := make(chan string, 16)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	url, ok := strings.CutPrefix(await.From(t, "the page's address", lines), "Open ")
	if !ok {
		t.Fatal("no address")
	}
	chromium.Open(t, browser, url)
	if line := await.From(t, "the tab's answer", lines); !strings.Contains(line, `is "Mozilla/5.0`) {
		t.Error(line)
	}
	stop()
	if err := await.From(t, "the server's end", done); err != nil {
		t.Error(err)
	}
}

func TestServerDialsTab(t *testing.T) {
	leak.Check(t)
	tab := newTab(t)
	if info := tab.Info(); info.Protocol != "backdial.v1.native" {
		t.Errorf("negotiated %q", info.Protocol)
	}
	if origin := tab.Header.Get("Origin"); origin != tab.site.url {
		t.Errorf("Origin is %q, the page %q", origin, tab.site.url)
	}

	// First, because it takes all that a new session of Chromium allows.
	t.Run("100 streams at once", func(t *testing.T) {
		var open, all sync.WaitGroup
		open.Add(100)
		for i := range 100 {
			all.Go(func() {
				conn, err := tab.Dial()
				if err != nil {
					t.Error(err)
					open.Done()
					return
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				sent := fmt.Append(nil, "stream ", i)
				got := make([]byte, len(sent))
				conn.Write(append([]byte("e"), sent...))
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("sent %q, got %q, %v", sent, got, err)
				}
				open.Done()
				open.Wait()
				closeWrite(t, conn)
				if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
					t.Errorf("stream %d ends with %q, %v", i, rest, err)
				}
			})
		}
		all.Wait()
	})

	t.Run("1000 more streams", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				if got, err := tab.ask("e", fmt.Append(nil, i)); err != nil || string(got) != fmt.Sprint(i) {
					t.Errorf("sent %d, got %q, %v", i, got, err)
				}
			})
		}
		all.Wait()
	})

	t.Run("10 MB each way", func(t *testing.T) {
		sent := make([]byte, 10e6)
		rand.Read(sent)
		if got, err := tab.ask("e", sent); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes came back, or others: %v", len(got), err)
		}
	})

	t.Run("half-close by the server", func(t *testing.T) {
		if got, err := tab.ask("c", make([]byte, 123456)); err != nil || string(got) != "123456" {
			t.Errorf("the tab got %q bytes, %v", got, err)
		}
	})

	t.Run("half-close by the tab", func(t *testing.T) {
		conn := tab.dial(t, "h")
		if got, err := io.ReadAll(conn); err != nil || string(got) != "done" {
			t.Errorf("got %q, %v", got, err)
		}
		fmt.Fprint(conn, "late")
		conn.Close()
		if r := tab.report(t); r.Got != "late" {
			t.Errorf("the tab reports %+v", r)
		}
	})

	t.Run("reset by the tab", func(t *testing.T) {
		conn := tab.dial(t, "r")
		if _, err := io.ReadAll(conn); !errors.Is(err, mux.ErrReset) {
			t.Errorf("read: %v", err)
		}
	})

	t.Run("close by the server while the tab writes", func(t *testing.T) {
		conn := tab.dial(t, "f")
		if _, err := io.ReadFull(conn, make([]byte, 1e6)); err != nil {
			t.Error(err)
		}
		conn.Close()
		// Chromium has two ways to say so.
		if r := tab.report(t); !strings.Contains(r.Error, "STOP_SENDING") && !strings.Contains(r.Error, "aborted by the remote server") {
			t.Errorf("the tab reports %+v", r)
		}
	})
}

func TestServerCloses(t *testing.T) {
	leak.Check(t)
	tab := newTab(t)
	conn := tab.dial(t, "e")
	fmt.Fprint(conn, "hello")
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	tab.Close()
	t.Logf("Close took %v", time.Since(start))
	r := tab.report(t)
	t.Logf("the tab reports %+v", r)
	if !r.Closed {
		t.Errorf("the tab reports %+v", r)
	}
}

func TestTabCloses(t *testing.T) {
	for _, way := range []struct{ name, command, reason string }{
		{"by close", "x", `closed the session with code 7 "enough"`},
		{"by leaving the page", "l", "closed the session"},
		// Not by closing it: a browser quits with its last tab, and may not take leave.
	} {
		t.Run(way.name, func(t *testing.T) {
			leak.Check(t)
			tab := newTab(t)
			start := time.Now()
			conn := tab.dial(t, way.command)
			if _, err := io.ReadAll(conn); !errors.Is(err, mux.ErrSessionEnded) {
				t.Errorf("read: %v", err)
			}
			tab.isGone(t, way.reason)
			t.Logf("after %v: %v", time.Since(start), tab.Err())
			if way.command != "x" {
				return // the page is not there to tell
			}
			if r := tab.report(t); !r.Closed || r.Code != 7 || r.Reason != "enough" {
				t.Errorf("the tab reports %+v", r)
			}
		})
	}
}

func TestBrowserIsKilled(t *testing.T) {
	leak.Check(t)
	tab := newTab(t, webtransport.WithIdleTimeout(3*time.Second))
	start := time.Now()
	tab.kill()
	tab.isGone(t, "no sign of life")
	t.Logf("after %v: %v", time.Since(start), tab.Err())
}

func TestOtherPagesMayNotConnect(t *testing.T) {
	leak.Check(t)
	browser := chromium.Find(t)
	dialers := make(chan *transport.Dialer, 1)
	s, reports := newTabSite(t, dialers)
	chromium.Open(t, browser, strings.Replace(s.url, "127.0.0.1", "localhost", 1)) // another origin
	r := await.From(t, "the tab's report", reports)
	if !strings.Contains(r.Error, "Opening handshake failed") {
		t.Errorf("the tab reports %+v", r)
	}
}

// A tab shows testdata/tab.html.
type tab struct {
	*transport.Dialer
	site    *site
	reports chan report
	kill    func()
}

// A report is what a tab sees.
type report struct {
	Connected string // protocol of the session
	Got       string // on a stream
	Closed    bool   // the session, as the server said
	Code      int
	Reason    string
	Error     string
}

// newTab opens a tab, and waits until it is connected.
func newTab(t *testing.T, opts ...webtransport.Option) *tab {
	t.Helper()
	browser := chromium.Find(t)
	dialers := make(chan *transport.Dialer, 1)
	s, reports := newTabSite(t, dialers, opts...)
	tab := &tab{site: s, reports: reports}
	tab.kill = chromium.Open(t, browser, s.url).Kill
	if r := tab.report(t); r.Connected != "backdial.v1.native" {
		t.Fatalf("the tab reports %+v", r)
	}
	tab.Dialer = await.From(t, "the tab", dialers)
	return tab
}

func newTabSite(t *testing.T, dialers chan *transport.Dialer, opts ...webtransport.Option) (*site, chan report) {
	t.Helper()
	page := template.Must(template.ParseFiles("testdata/tab.html"))
	s, err := newSite("127.0.0.1:0", page, func(d *transport.Dialer) { dialers <- d }, opts...)
	if err != nil {
		t.Fatal(err)
	}
	reports := make(chan report, 16)
	s.pages.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var got report
		if json.NewDecoder(r.Body).Decode(&got) == nil { // or the test is over
			reports <- got
		}
	})
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { served <- s.serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := await.From(t, "the end of the site", served); err != nil {
			t.Error(err)
		}
	})
	return s, reports
}

func (tab *tab) report(t *testing.T) report {
	t.Helper()
	return await.From(t, "the tab's report", tab.reports)
}

// isGone waits until the server knows that the tab is gone, and why.
func (tab *tab) isGone(t *testing.T, reason string) {
	t.Helper()
	await.From(t, "the end of the session", tab.Done())
	if err := tab.Err(); !errors.Is(err, transport.ErrClientGone) || !strings.Contains(err.Error(), reason) {
		t.Errorf("the session ended with %v, not because of %q", err, reason)
	}
}

// dial opens a stream on which the tab does what command says.
func (tab *tab) dial(t *testing.T, command string) net.Conn {
	t.Helper()
	conn, err := tab.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprint(conn, command); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask returns everything that the tab answers to a command and what follows it.
func (tab *tab) ask(command string, data []byte) ([]byte, error) {
	conn, err := tab.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(append([]byte(command), data...))
		written <- errors.Join(err, conn.(carrier.CloseWriter).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	return got, errors.Join(err, <-written)
}

func closeWrite(t *testing.T, conn net.Conn) {
	if err := conn.(carrier.CloseWriter).CloseWrite(); err != nil {
		t.Error(err)
	}
}
