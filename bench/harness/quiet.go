package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/bench/link"
)

// quietFile is in the environment of a process that holds idle sessions: where it writes
// what they need.
const quietFile = "BACKDIAL_BENCH_QUIET"

// A need is what sessions need on which nothing happens.
type need struct {
	Processor time.Duration // a minute, of 1,000 sessions, both ends
	Bytes     float64       // a day, of one session, with headers
	Packets   float64       // a day, of one session
}

// Quiet has 1,000 sessions on which nothing happens for a minute, and reports the
// processor time of both ends, and what one session sends in a day. All subjects have
// their minute at the same time, each in a process of its own.
func Quiet(b *testing.B, subjects []Subject) {
	if path := os.Getenv(quietFile); path != "" {
		each(b, subjects, func(b *testing.B, s Subject) { s.beQuiet(b, path) })
		return
	}
	children := make(map[string]func() (need, error))
	benchmark, _, _ := strings.Cut(b.Name(), "/")
	for _, s := range subjects {
		if _, skipped := s.Skip[benchmark]; !skipped {
			children[s.Name] = startQuiet(b, s)
		}
	}
	each(b, subjects, func(b *testing.B, s Subject) {
		n, err := children[s.Name]()
		if err != nil {
			b.Fatal(err)
		}
		if testing.Short() {
			b.Skip("it works, but a minute is too long for a short run")
		}
		if n.Processor > 0 {
			b.ReportMetric(float64(n.Processor), "cpu-ns/min")
		}
		b.ReportMetric(n.Bytes, "B/day")
		b.ReportMetric(n.Packets, "packets/day")
		b.ReportMetric(0, "ns/op") // of which there is nothing to say
	})
}

// startQuiet starts the process of a subject. The function that it returns waits for what
// that has found.
func startQuiet(b *testing.B, s Subject) func() (need, error) {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "need.json")
	pattern := []string{"^" + regexp.QuoteMeta(b.Name()) + "$"}
	for part := range strings.SplitSeq(s.Name, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.Command(exe, "-test.run=^$", "-test.benchtime=1x", "-test.bench="+strings.Join(pattern, "/"),
		fmt.Sprintf("-test.short=%t", testing.Short()))
	cmd.Env = append(os.Environ(), quietFile+"="+path)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		b.Fatalf("start a process of idle sessions: %v", err)
	}
	var ended error
	done := make(chan struct{})
	go func() {
		ended = cmd.Wait()
		close(done)
	}()
	b.Cleanup(func() {
		cmd.Process.Kill() // or it has ended already
		<-done
	})
	return func() (n need, err error) {
		<-done
		found, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(found, &n)
		}
		if ended != nil || err != nil {
			return n, fmt.Errorf("the process of idle sessions: %v, %v\n%s", ended, err, &said)
		}
		return n, nil
	}
}

// beQuiet writes what idle sessions need to a file.
func (s Subject) beQuiet(b *testing.B, path string) {
	const metered = 4
	sessions := UnlessShort(1000, 20)
	// From 5 s on, since pings come every 10, 15 or 30 s: so it is as many as in any minute.
	settle, length := 5*time.Second, time.Minute
	if testing.Short() {
		settle, length = 0, 100*time.Millisecond
	}
	m := &meter{TB: b}
	var all []*Session
	for _, of := range []struct {
		n       int
		connect func() (*Session, error)
	}{{sessions, s.Serve(near{b})}, {metered, s.Serve(m)}} {
		for range of.n {
			made, err := of.connect()
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, made)
		}
	}
	runtime.GC() // what the handshakes have left
	time.Sleep(settle)
	bytes, packets, used := m.bytes(), m.packets(), processorTime()
	time.Sleep(length)
	minutes := length.Minutes()
	day := (24 * time.Hour).Minutes() / minutes / metered
	n := need{
		Processor: time.Duration(float64(processorTime()-used) / minutes * 1000 / float64(sessions)),
		Bytes:     float64(m.bytes()-bytes) * day,
		Packets:   float64(m.packets()-packets) * day,
	}
	for _, made := range all {
		made.Close()
	}
	found, err := json.Marshal(n)
	if err == nil {
		err = os.WriteFile(path, found, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// A meter has ends side by side, and counts what passes between them.
type meter struct {
	testing.TB
	paths []metered
}

type metered struct {
	*link.Path
	header int64 // of a packet
}

func (m *meter) Host() string { return loopback }

func (m *meter) Reach(network, addr string) string {
	p, err := link.Open(network, addr, link.Conditions{Rate: 1e9, Queue: 10 * time.Millisecond})
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { p.Close() })
	header := int64(20 + 32) // of IPv4, and of TCP with timestamps
	if network == "udp" {
		header = 20 + 8
	}
	m.paths = append(m.paths, metered{p, header})
	return p.Addr()
}

// bytes is what has passed, with headers, but without TCP's acknowledgments.
func (m *meter) bytes() (n int64) {
	for _, p := range m.paths {
		bytes, packets := p.Carried()
		n += bytes + packets*p.header
	}
	return n
}

func (m *meter) packets() (n int64) {
	for _, p := range m.paths {
		_, packets := p.Carried()
		n += packets
	}
	return n
}
