package workload_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/workload"
	"github.com/backdial/backdial/transport"
)

// patience bounds what must happen, on a loaded machine.
const patience = 20 * time.Second

// brisk is a workload without rests.
var brisk = workload.Config{Number: 7, Pause: 1}

// TestOverTransport uses a device that leaves and comes back.
func TestOverTransport(t *testing.T) {
	leak.Check(t)
	var dialers workload.Dialers
	network := mem.New()
	server := transport.NewServer(&dialers, transport.WithCarriers(network))
	defer server.Close()
	endpoint, err := network.Listen("127.0.0.1:0", nil, server)
	if err != nil {
		t.Fatal(err)
	}
	defer endpoint.Close()
	go endpoint.Serve()

	device, caller := workload.NewDevice(brisk), workload.NewCaller(brisk)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() { caller.Run(ctx, dialers.Of(7)) })
	}
	for i := range 3 {
		lis, err := transport.DialAndListenContext(ctx, "mem://"+endpoint.Addr().String(), workload.Header(7), transport.WithCarriers(network))
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			if err := device.Serve(lis); !errors.Is(err, net.ErrClosed) {
				t.Errorf("serve: %v", err)
			}
		})
		await.Until(t, "requests", func() bool { return caller.Record().Acknowledged.Len() > 300*(i+1) })
		if i == 2 {
			cancel()
			running.Wait()
		}
		lis.Close()
		serving.Wait()
	}
	report := workload.Verify(caller.Record(), device.Record())
	if err := report.Err(patience); err != nil {
		t.Error(err)
	}
	// What was under way when the device left can have failed.
	if report.Acknowledged < report.Sent-6 {
		t.Errorf("%+v", report)
	}
	t.Logf("%+v", report)
}

// A direct Dialer dials a device by TCP.
type direct struct {
	net.Listener
	wrap func(*net.TCPConn) net.Conn
}

func (d direct) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", d.Addr().String())
	if err != nil || d.wrap == nil {
		return conn, err
	}
	return d.wrap(conn.(*net.TCPConn)), nil
}

// exchanges makes n exchanges, through connections that wrap makes. The device gets its
// own from listen.
func exchanges(t *testing.T, n int, device *workload.Device, wrap func(*net.TCPConn) net.Conn, listen func(net.Listener) net.Listener) workload.Report {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- device.Serve(listen(ln)) }()
	caller := workload.NewCaller(brisk)
	for range n {
		caller.Exchange(t.Context(), direct{ln, wrap})
	}
	ln.Close()
	<-served
	return workload.Verify(caller.Record(), device.Record())
}

func same[T any](v T) T { return v }

func plain(c *net.TCPConn) net.Conn { return c }

func TestSound(t *testing.T) {
	leak.Check(t)
	report := exchanges(t, 100, workload.NewDevice(brisk), plain, same)
	if err := report.Err(patience); err != nil {
		t.Error(err)
	}
	if report.Exchanges != 100 || report.Sent < 110 || report.Acknowledged != report.Sent || report.Seen != report.Sent || report.Failed > 0 {
		t.Errorf("%+v", report)
	}
}

// TestFailures checks that failures are not violations.
func TestFailures(t *testing.T) {
	leak.Check(t)
	report := exchanges(t, 10, workload.NewDevice(brisk), func(c *net.TCPConn) net.Conn { return failing{c} }, same)
	if err := report.Err(patience); err != nil {
		t.Error(err)
	}
	if report.Failed != 10 || report.Exchanges != 10 || report.Reason != errFailing.Error() || report.Acknowledged > 0 {
		t.Errorf("%+v", report)
	}
	caller := workload.NewCaller(brisk)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := caller.Exchange(t.Context(), direct{Listener: ln}); err == nil {
		t.Error("an exchange with nobody")
	}
	if r := caller.Record(); r.Failed != 1 || r.Exchanges != 1 {
		t.Errorf("%+v", r)
	}
}

var errFailing = errors.New("failing")

// A failing connection fails where another would end.
type failing struct{ *net.TCPConn }

func (failing) Read([]byte) (int, error) { return 0, errFailing }

// TestHanging checks that a call that never returns is measured.
func TestHanging(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // which nobody accepts from
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	caller := workload.NewCaller(brisk)
	var conn net.Conn
	dialled := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- caller.Exchange(t.Context(), direct{ln, func(c *net.TCPConn) net.Conn {
			conn = c
			close(dialled)
			return c
		}})
	}()
	<-dialled
	await.Until(t, "a long call", func() bool { return caller.Record().Longest.Took > slowness })
	if longest := caller.Record().Longest; longest.Name != "caller's Read" {
		t.Errorf("the longest call is %s, want a Read", longest.Name)
	}
	conn.Close()
	if err := <-done; err == nil {
		t.Error("no error")
	}
}

// TestTimeout loses a request, without an error.
func TestTimeout(t *testing.T) {
	leak.Check(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // which nobody accepts from
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	caller := workload.NewCaller(workload.Config{Timeout: slowness})
	if err := caller.Exchange(t.Context(), direct{Listener: ln}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want os.ErrDeadlineExceeded", err)
	}
	if r := caller.Record(); r.Failed != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAdd(t *testing.T) {
	one := workload.Report{Exchanges: 1, Sent: 2, Seen: 3, Acknowledged: 4, Failed: 5, Reason: "first", Corrupt: 6,
		Truncated: 7, Lost: 8, Duplicates: 9, Longest: workload.Call{Name: "Read", Took: 10}}
	two := one.Add(workload.Report{}).Add(one)
	want := workload.Report{Exchanges: 2, Sent: 4, Seen: 6, Acknowledged: 8, Failed: 10, Reason: "first", Corrupt: 12,
		Truncated: 14, Lost: 16, Duplicates: 18, Longest: workload.Call{Name: "Read", Took: 10}}
	if two != want {
		t.Errorf("%+v, want %+v", two, want)
	}
}
