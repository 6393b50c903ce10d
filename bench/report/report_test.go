package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// recorded is the output of benchmarks in three repeats. During the second, the machine
// is twice as slow for a while.
var recorded = []string{
	recording("100", "200", "50"),
	recording("200", "400", "100"),
	recording("110", "200", "60"),
}

func recording(tcp, wslis, ours string) string {
	return strings.NewReplacer("TCP", tcp, "WSLIS", wslis, "OURS", ours).Replace(`goos: linux
cpu: Example 9000
BenchmarkPing/carrier=tcp/mux=none-4  10  5 ns/op  TCP000 p50-ns  900000 p99-ns
BenchmarkPing/carrier=wslis/mux=yamux-4  10  5 ns/op  WSLIS000 p50-ns  900000 p99-ns
BenchmarkPing/carrier=ws/mux=qmux-4  10  5 ns/op  OURS000 p50-ns  1900000 p99-ns
BenchmarkThroughput/to=client/streams=1/carrier=wslis/mux=yamux-4  10  5 ns/op  WSLIS MB/s  2 cpu-s/GB
BenchmarkThroughput/to=client/streams=1/carrier=ws/mux=qmux-4  10  5 ns/op  OURS MB/s  1 cpu-s/GB
BenchmarkDistance/rtt=20ms/loss=1%/carrier=webtransport/mux=native-4  1  5 ns/op  9 MB/s  1.1 ping-RTTs
BenchmarkScaleSessions/sessions=1/carrier=wslis/mux=yamux-4  1  5 ns/op  100 KiB/session  4 goroutines/session
BenchmarkScaleSessions/sessions=1/carrier=ws/mux=qmux-4  1  5 ns/op  0 KiB/session  4 goroutines/session
BenchmarkScaleSessions/sessions=10/carrier=ws/mux=qmux-4  1  5 ns/op  7 ping-p50-ns
BenchmarkScaleSessions/sessions=1000/carrier=wslis/mux=yamux-4  1  5 ns/op  40 KiB/session  4 goroutines/session
BenchmarkScaleSessions/sessions=1000/carrier=ws/mux=qmux-4  1  5 ns/op  20 KiB/session  4 goroutines/session
BenchmarkClusterDial/case=remote,_owner_not_known-4  10  5 ns/op  WSLIS000 p50-ns  3000 dial-p50-ns
BenchmarkClusterDial/case=local-4  10  5 ns/op  OURS000 p50-ns  1000 dial-p50-ns
BenchmarkClusterThroughput/to=server/streams=8/case=local_over_TLS-4  10  5 ns/op  OURS MB/s
BenchmarkClusterThroughput/to=server/streams=8/case=remote-4  10  5 ns/op  TCP MB/s
BenchmarkClusterPresence/clients=100/case=three_replicas-4  1  5 ns/op  2600 B/client  700 B/client-engine
PASS
`)
}

func recordedResults(t *testing.T) *results {
	t.Helper()
	r := new(results)
	for repeat, out := range recorded {
		if err := r.add([]byte(out), repeat, false); err != nil {
			t.Fatal(err)
		}
	}
	peers := "BenchmarkPing/carrier=revdial/mux=none-4  10  5 ns/op  300000 p50-ns\n"
	if err := r.add([]byte(peers), 0, true); err != nil {
		t.Fatal(err)
	}
	return r
}

func recordedDocument(t *testing.T) *document {
	t.Helper()
	return newDocument(about{
		Date: "2026-01-02", Command: "cd bench/report && go run .", Measured: "3 × 1s",
		System: "Linux 6", Versions: []string{"example.org/yamux v1.2.3"}, repeats: 3,
	}, recordedResults(t))
}

func contains(t *testing.T, what string, text []byte, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(string(text), w) {
			t.Errorf("%s lacks\n%s", what, w)
		}
	}
}

func TestMarkdown(t *testing.T) {
	text := recordedDocument(t).markdown()
	contains(t, "RESULTS.md", text, `
- made on 2026-01-02 by `+"`cd bench/report && go run .`"+`
- Example 9000
- Linux 6
`, `
## Versions

- example.org/yamux v1.2.3
`, `
|                                |        ws+qmux |            best peer | times as good | verdict |  place |
|--------------------------------|---------------:|---------------------:|--------------:|--------:|-------:|
| Ping                           |   60.0 µs ±21% |   wslis: 200 µs ±25% |      4.00 ±4% |  better | 1 of 3 |
`, `
## ws+qmux beside wslis

|                                                  |         wslis |        ws+qmux | times as good | verdict |
|--------------------------------------------------|--------------:|---------------:|--------------:|--------:|
| Ping, p50                                        |   200 µs ±25% |   60.0 µs ±21% |      4.00 ±4% |  better |
| Throughput, to client, 1 stream                  | 200 MB/s ±25% | 60.0 MB/s ±21% |      0.25 ±5% |   worse |
`, `
## Ping

64 bytes to and fro on an open stream.

|             |          p50 |    × tcp |  × wslis |     p99 | × tcp | × wslis |
|-------------|-------------:|---------:|---------:|--------:|------:|--------:|
| tcp         |  110 µs ±23% |     1.00 | 0.50 ±3% |  900 µs |  1.00 |    1.00 |
| wslis       |  200 µs ±25% | 2.00 ±2% |     1.00 |  900 µs |  1.00 |    1.00 |
| **ws+qmux** | 60.0 µs ±21% | 0.50 ±2% | 0.25 ±5% | 1.90 ms |  2.11 |    2.11 |
| revdial     |       300 µs |     3.00 |     1.50 |       – |     – |       – |
`, `
### to client, 1 stream
`, `
### rtt 20ms, loss 1%

|                         | throughput | ping under load |
|-------------------------|-----------:|----------------:|
| **webtransport+native** |  9.00 MB/s |        1.10 RTT |
`, `
### memory per session

|             | 1 session | 1000 sessions | × wslis, 1000 sessions |
|-------------|----------:|--------------:|-----------------------:|
| wslis       |   100 KiB |      40.0 KiB |                   1.00 |
| **ws+qmux** |  0.00 KiB |      20.0 KiB |                   0.50 |
`, `
## Cluster

Replicas with embedded NATS servers, `, `
### Dial

Until the client has answered a byte, and until Dial returns. `, `
|                             |          p50 |  × local | Dial alone, p50 | × local |
|-----------------------------|-------------:|---------:|----------------:|--------:|
| local                       | 60.0 µs ±21% |     1.00 |         1.00 µs |    1.00 |
| **remote, owner not known** |  200 µs ±25% | 4.00 ±4% |         3.00 µs |    3.00 |
`, `
### Throughput, to server, 8 streams

Bytes one way, `, `
| local over TLS | 60.0 MB/s ±21% |
| **remote**     |  110 MB/s ±23% |
`, `
### Presence, 100 clients
`, `
| **three replicas** |          2.54 KiB |          700 B |
`)
	if t.Failed() {
		t.Logf("it is\n%s", text)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "NaN") || strings.Contains(line, "Inf") {
			t.Errorf("RESULTS.md has the line %q", line)
		}
	}
}

func TestSummary(t *testing.T) {
	verdicts := make(map[string]string)
	for _, row := range recordedDocument(t).Summary.Table.Rows {
		verdicts[row.Cells[0]] = row.Cells[len(row.Cells)-1]
	}
	for what, want := range map[string]string{
		"Ping, p50":                                        "better",
		"Throughput, to client, 1 stream":                  "worse",
		"Throughput, to client, 1 stream, CPU per GB":      "better",
		"Many sessions, 1000 sessions, memory per session": "better",
	} {
		if verdicts[what] != want {
			t.Errorf("the verdict on %q is %q, want %q; all are %q", what, verdicts[what], want, verdicts)
		}
	}
	if got := verdict(estimate{median: 1.02, spread: 0.05, n: 3}); got != "the same" {
		t.Errorf("a ratio within its spread of 1 is %q", got)
	}
	if got := verdict(estimate{median: 0.1, n: 1}); got != dash {
		t.Errorf("a ratio that was measured once is %q", got)
	}
}

// TestStanding expects wins and losses to be treated alike, and a difference that may be
// chance to be neither.
func TestStanding(t *testing.T) {
	standing := func(repeats int, lines ...string) *standing {
		r := new(results)
		for repeat := range repeats {
			for i, line := range lines { // those with an odd index are of peers
				if err := r.add([]byte(line+"\n"), repeat, i%2 == 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		return stand(r)
	}
	lines := []string{
		"BenchmarkPing/carrier=ws/mux=qmux 1 20 p50-ns", "BenchmarkPing/carrier=revdial/mux=none 1 10 p50-ns",
		"BenchmarkPing/carrier=wslis/mux=yamux 1 40 p50-ns", "BenchmarkPing/carrier=piko/mux=own 1 80 p50-ns",
		"BenchmarkStreamSetup/carrier=ws/mux=qmux 1 20 p50-ns", "BenchmarkStreamSetup/carrier=piko/mux=own 1 30 p50-ns",
		"BenchmarkStreamSetupAtOnce/carrier=ws/mux=qmux 1 7 streams/s", "BenchmarkStreamSetupAtOnce/carrier=piko/mux=own 1 7 streams/s",
		"BenchmarkPrograms/program=pgbench_-S,_8_clients/case=forward 1 300 requests/s",
		"BenchmarkStreamSetup/carrier=revdial/mux=none 1 90 p50-ns",
		"BenchmarkPrograms/program=pgbench_-S,_8_clients/case=ssh_-R 1 200 requests/s",
	}
	s := standing(3, lines...)
	want := "Of the 4 measurements here in which other libraries or ssh -R take part, ws+qmux, the default, is the best in 2 " +
		"and as good as the best in 1. It is behind in 1: ping (0.50 times as good as revdial)."
	if got := s.Sentences(); got != want {
		t.Errorf("it says\n%s, want\n%s", got, want)
	}
	var places []string
	for _, r := range s.ranks {
		places = append(places, r.label())
	}
	if got, want := strings.Join(places, ", "), "1.50 × piko; best, 1.00 × piko; even, 0.50 × revdial; 2 of 4, 1.50 × ssh -R; best"; got != want {
		t.Errorf("the picture says %q, want %q", got, want)
	}
	// The table, the picture and what is said point the same way.
	row, best := s.Table().Rows[2], s.ranks[2].best()
	if row.Cells[3] != "0.50" || row.Cells[4] != "worse" || position(best.gain) != -1 {
		t.Errorf("the table says %q, and the picture has that at %v", row.Cells, position(best.gain))
	}
	if got := standing(1, lines...).Caveat(); !strings.Contains(got, "not measured often enough") {
		t.Errorf("of one repeat it says %q", got)
	}
	if got := standing(3, "BenchmarkPing/carrier=ws/mux=qmux 1 20 p50-ns"); got != nil {
		t.Errorf("alone it stands among %+v", got)
	}
}

// TestHeadlines expects each headline to name an existing benchmark and a known unit.
func TestHeadlines(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{"..", "../harness"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, h := range headlines {
		if !strings.Contains(source.String(), "func Benchmark"+h.benchmark+"(") {
			t.Errorf("%s is of Benchmark%s, which does not exist", h.what, h.benchmark)
		}
		if u := unitsOf([]string{h.unit})[0]; u.title == h.unit {
			t.Errorf("%s is in %s, which has no title", h.what, h.unit)
		}
		if h.unit != "MB/s" && !strings.Contains(source.String(), `"`+h.unit+`"`) {
			t.Errorf("%s is in %s, which nothing reports", h.what, h.unit)
		}
	}
}

// TestPage expects every figure and table on a page that loads nothing.
func TestPage(t *testing.T) {
	d := recordedDocument(t)
	d.Failures = []string{"something <went> wrong"}
	page, err := d.html()
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "report.html", page, `<h2 id="summary">`, `<h2 id="standing">`, "is the best in 2", "<h2>Ping</h2>", "110 µs ±23%", "Example 9000", "example.org/yamux v1.2.3",
		"something &lt;went&gt; wrong", `<tr class="backdial">`, `<tr class="peer">`, "memory per session, by sessions")
	figures := len(d.Standing.Plots()) + len(d.Summary.Plots)
	for _, s := range d.Sections {
		for _, p := range s.Parts {
			figures += len(p.Plots)
		}
	}
	if got := strings.Count(string(page), "<svg"); figures == 0 || got != 2*figures {
		t.Errorf("%d figures are drawn %d times, want each for light and for dark", figures, got)
	}
	if found := regexp.MustCompile(`(src|href)="[^#"][^"]*"|url\(|@import|<script|<link`).Find(page); found != nil {
		t.Errorf("the page is not self-contained: %s", found)
	}
	for _, odd := range []string{"NaN", "Inf", "ZgotmplZ"} {
		if strings.Contains(string(page), odd) {
			t.Errorf("the page contains %s", odd)
		}
	}
}

func TestFiguresOfLittle(t *testing.T) {
	r := new(results)
	out := "BenchmarkScaleStreams/streams=1/carrier=ws/mux=yamux  1  2 KiB/stream  0 ping-p50-ns\n" +
		"BenchmarkIdle/carrier=ws/mux=yamux  1  -0.01 KiB/each\n" +
		"BenchmarkIdle/carrier=ws/mux=smux  1  0 KiB/each\n"
	if err := r.add([]byte(out), 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := newDocument(about{repeats: 1}, r).html(); err != nil {
		t.Error(err)
	}
}

func TestOutputThatCannotBeUsed(t *testing.T) {
	for name, test := range map[string]struct{ out, want string }{
		"nothing":    {"PASS\n", "printed no result"},
		"no subject": {"BenchmarkPing-2  1  5 ns/op\n", "needs carrier= and mux=, or case="},
		"failure":    {"BenchmarkPing/carrier=ws/mux=yamux-2  --- FAIL: BenchmarkPing\n", "cannot read"},
	} {
		t.Run(name, func(t *testing.T) {
			err := new(results).add([]byte(test.out), 0, false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want it to say %q", err, test.want)
			}
		})
	}
}

// TestReport runs benchmarks, one of which fails for one of its subjects.
func TestReport(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.org/bench\n\ngo 1.26\n",
		"bench_test.go": `package bench

import "testing"

func BenchmarkPing(b *testing.B) {
	b.Run("carrier=tcp/mux=none", func(b *testing.B) { b.ReportMetric(5000, "p50-ns") })
	b.Run("carrier=ws/mux=yamux", func(b *testing.B) { b.Fatal("no answer") })
	b.Run("carrier=ws/mux=smux", func(b *testing.B) { b.ReportMetric(7500, "p50-ns") })
	b.Run("carrier=mem/mux=smux", func(b *testing.B) { b.Skip("not today") })
}

func BenchmarkLoss(b *testing.B) {
	b.Run("carrier=ws/mux=yamux", func(b *testing.B) { b.Skip("not here") })
}

func BenchmarkNothing(b *testing.B) { b.SkipNow() } // without a word
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := options{dir: dir, out: out, bench: "Ping|Loss|Nothing", benchtime: "1x", repeats: 2}
	err := report(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "4 of the benchmarks' runs failed") {
		t.Errorf("the error is %v, want it to count what failed", err)
	}
	text, err := os.ReadFile(filepath.Join(out, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "RESULTS.md", text, "- BenchmarkPing of "+dir+", repeat 1: ", "no answer", `
## What was not measured

- BenchmarkLoss of `+dir+`: not here
`, "- BenchmarkNothing of "+dir+", repeat 2: the benchmark has printed no result", `
|             |     p50 | × tcp |
|-------------|--------:|------:|
| tcp         | 5.00 µs |  1.00 |
| **ws+smux** | 7.50 µs |  1.50 |
`)
	o.bench = "Pong"
	if err := report(t.Context(), o); err == nil || !strings.Contains(err.Error(), `matches "Pong"`) {
		t.Errorf("the error is %v, want it to say that nothing matches", err)
	}
	o.out = filepath.Join(out, "RESULTS.md", "inside")
	if err := report(t.Context(), o); err == nil || !strings.Contains(err.Error(), "make the folder of the results") {
		t.Errorf("the error is %v, want it to say that nothing can be written there", err)
	}
	o.dir, o.out = out, out
	if err := report(t.Context(), o); err == nil || !strings.Contains(err.Error(), "compile the benchmarks in "+out) {
		t.Errorf("the error is %v, want it to say what could not be built", err)
	}
}

func TestPlanPutsPeersBesideOthers(t *testing.T) {
	bench := &suite{dir: "bench", benchmarks: []string{"A", "B"}}
	peers := &suite{dir: "peers", benchmarks: []string{"B", "C"}}
	var got []string
	for _, s := range plan([]*suite{bench, peers}) {
		got = append(got, s.String())
	}
	if got, want := strings.Join(got, "; "), "A of bench; B of bench; B of peers; C of peers"; got != want {
		t.Errorf("the plan is %q, want %q", got, want)
	}
}

func TestProgressEstimatesWhatIsLeft(t *testing.T) {
	a, b := step{benchmark: "A"}, step{benchmark: "B"}
	p := newProgress(os.Stderr, []step{a, b}, 3)
	p.took = map[step]time.Duration{a: time.Minute, b: time.Second}
	p.done = 3 // all of the first repeat, and A of the second
	if got, want := p.left(), time.Minute+2*time.Second; got != want {
		t.Errorf("%v are left, want %v", got, want)
	}
}
