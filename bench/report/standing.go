package main

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A standing is where this library is among its peers: others for the same task, and
// wslis, of which it is the successor.
type standing struct {
	ranks []rank
	once  bool // nothing was measured often enough to be sure
}

// A rank is the place of this library in one measurement.
type rank struct {
	what   string
	unit   unit
	own    estimate
	secure estimate // how many times as good ours is without TLS as with it; none if not measured
	rivals []rival  // the best first
}

// A rival is a peer in a measurement.
type rival struct {
	subject  subject
	estimate estimate
	gain     estimate // how many times as good ours is
}

// headlines are what people ask for first, one for each thing that a library can be good
// or bad at. Others are in the tables.
var headlines = []struct {
	what, benchmark, params, unit string
	own                           subject
}{
	{"Stream setup", "StreamSetup", "", "p50-ns", wsQMux},
	{"Stream setup, 64 at once", "StreamSetupAtOnce", "", "streams/s", wsQMux},
	{"Ping", "Ping", "", "p50-ns", wsQMux},
	{"Ping beside bulk, p99", "PingBesideBulk", "", "p99-ns", wsQMux},
	{"Small writers, p99", "SmallWriters", "", "p99-ns", wsQMux},
	{"Throughput to client, 1 stream", "Throughput", "to client, 1 stream", "MB/s", wsQMux},
	{"Throughput to client, 64 streams", "Throughput", "to client, 64 streams", "MB/s", wsQMux},
	{"Throughput to server, 1 stream", "Throughput", "to server, 1 stream", "MB/s", wsQMux},
	{"Throughput to server, 64 streams", "Throughput", "to server, 64 streams", "MB/s", wsQMux},
	{"CPU per GB to client", "Throughput", "to client, 1 stream", "cpu-s/GB", wsQMux},
	{"HTTP, 1 KiB, 64 users", "HTTP", "answers 1KiB, 64 users", "requests/s", wsQMux},
	{"HTTP, 1 MiB, 1 user", "HTTP", "answers 1MiB, 1 user", "requests/s", wsQMux},
	{"Session setup, 64 at once", "SessionSetupAtOnce", "", "sessions/s", wsQMux},
	{"Memory of an idle session", "IdleSessions", "", "KiB/each", wsQMux},
	{"CPU of idle sessions", "Quiet", "", "cpu-ns/min", wsQMux},
	{"Traffic of an idle session", "Quiet", "", "B/day", wsQMux},
	{"Throughput over 100 ms", "Distance", "rtt 100ms, loss 0%", "MB/s", wsQMux},
	{"First answer over 100 ms", "Distance", "rtt 100ms, loss 0%", "first-RTTs", wsQMux},
	{"Throughput at a loss of 1 %", "Loss", "rtt 20ms, tcp cubic", "MB/s", wsQMux},
	{"redis-benchmark", "Programs", "redis-benchmark GET, 50 clients", "requests/s", forward},
	{"pgbench", "Programs", "pgbench -S, 8 clients", "requests/s", forward},
	{"iperf3", "Programs", "iperf3 to the device, 1 stream", "MB/s", forward},
}

// stand returns nil if there are no peers.
func stand(r *results) *standing {
	s := &standing{once: true}
	for _, h := range headlines {
		t := r.find(h.benchmark, h.params)
		if t == nil || len(t.values(h.own, h.unit)) == 0 {
			continue
		}
		own := t.values(h.own, h.unit)
		u := unitsOf([]string{h.unit})[0]
		found := rank{what: h.what, unit: u, own: own.estimate()}
		for _, row := range t.rows {
			if row.subject.kind() != peer && row.subject != wslis {
				continue
			}
			if gain := gainOver(own, row.values[h.unit], u).estimate(); gain.n > 0 && gain.median > 0 {
				found.rivals = append(found.rivals, rival{row.subject, row.values[h.unit].estimate(), gain})
			}
		}
		if len(found.rivals) == 0 {
			continue
		}
		slices.SortStableFunc(found.rivals, func(a, b rival) int { return cmp.Compare(a.gain.median, b.gain.median) })
		found.secure = gainOver(own, t.values(wssQMux, h.unit), u).estimate()
		s.ranks = append(s.ranks, found)
		s.once = s.once && found.rivals[0].gain.n < 3
	}
	if len(s.ranks) == 0 {
		return nil
	}
	return s
}

// find returns the table of a benchmark whose title is that, or nil.
func (r *results) find(benchmark, title string) *table {
	for _, b := range r.benchmarks {
		if b.name != benchmark {
			continue
		}
		for _, t := range b.tables {
			if t.title() == title {
				return t
			}
		}
	}
	return nil
}

// best is the rival that ours is compared with.
func (r rank) best() rival { return r.rivals[0] }

// place is how many are better, and one. Without enough repeats to be sure, medians decide.
func (r rank) place() int {
	place := 1
	for _, other := range r.rivals {
		if v := verdict(other.gain); v == "worse" || v == dash && other.gain.median < 1 {
			place++
		}
	}
	return place
}

func (r rank) even() bool { return verdict(r.best().gain) == "the same" }

// Sentences say where this library stands, wins and losses alike.
func (s *standing) Sentences() string {
	var behind []rank
	leads, even := 0, 0
	for _, r := range s.ranks {
		switch {
		case r.place() > 1:
			behind = append(behind, r)
		case r.even():
			even++
		default:
			leads++
		}
	}
	text := fmt.Sprintf("Of the %d measurements here in which other libraries or ssh -R take part, %s, the default, is the best in %d",
		len(s.ranks), wsQMux, leads)
	if even > 0 {
		text += fmt.Sprintf(" and as good as the best in %d", even)
	}
	text += ". "
	if len(behind) == 0 {
		return text + "It is behind in none."
	}
	slices.SortStableFunc(behind, func(a, b rank) int { return cmp.Compare(a.best().gain.median, b.best().gain.median) })
	const most = 4
	var told []string
	for _, r := range behind[:min(most, len(behind))] {
		told = append(told, fmt.Sprintf("%s (%s times as good as %s)", lowerFirst(r.what), digits(r.best().gain.median), r.best().subject))
	}
	what := ":"
	if len(behind) > most {
		what = ", above all:"
	}
	return text + fmt.Sprintf("It is behind in %d%s %s.", len(behind), what, strings.Join(told, "; "))
}

// lowerFirst leaves abbreviations alone.
func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

// Caveat says what the sentences do not.
func (s *standing) Caveat() string {
	text := "ws does not encrypt, and nor do most of the others; wss, ssh, ssh -R, chisel and revdial do. "
	if s.once {
		text += "This was not measured often enough to tell a difference from chance. "
	}
	return text
}

// Table has what the picture shows, in figures.
func (s *standing) Table() grid {
	g := grid{Head: []string{"", wsQMux.String(), "best peer", "times as good", "verdict", "place"}}
	for _, r := range s.ranks {
		best := r.best()
		g.Rows = append(g.Rows, gridRow{Cells: []string{r.what, r.own.text(r.unit.show),
			best.subject.String() + ": " + best.estimate.text(r.unit.show), best.gain.text(digits), verdict(best.gain),
			fmt.Sprintf("%d of %d", r.place(), len(r.rivals)+1)}})
	}
	return g
}

// Plots is the picture.
func (s *standing) Plots() []figure { return []figure{field{s.ranks}} }

// A field shows peers beside ours, which is at 1.
type field struct{ ranks []rank }

func (field) Caption() string {
	return fmt.Sprintf("How many times as good %s is as each of its peers", wsQMux)
}

func (field) Note() string {
	return "less than 1, to the left of the line, is worse; grey is wslis, the teal square wss+qmux, which encrypts"
}

const (
	fieldWidth = vg.Length(640)
	fieldStep  = vg.Length(17)
	widest     = 6.0 // in powers of two; what is farther away is at the edge
)

// position is where a gain is on the axis: to the left of 0 if ours is worse.
func position(gain estimate) float64 {
	return max(-widest, min(widest, math.Log2(gain.median)))
}

func (f field) draw(t theme) ([]byte, error) {
	p := newPlot(t)
	p.Add(&plotter.Grid{Vertical: gridLine(t)})
	low, high := -1.0, 1.0
	var names []string
	var words plotter.XYLabels
	points := make(map[color.RGBA]plotter.XYs)
	var secure, own plotter.XYs
	for _, r := range slices.Backward(f.ranks) { // axes begin at the bottom
		y := float64(len(names))
		names = append(names, r.what)
		for _, other := range r.rivals {
			x := position(other.gain)
			low, high = min(low, x), max(high, x)
			c := other.subject.color(t)
			points[c] = append(points[c], plotter.XY{X: x, Y: y})
		}
		if r.secure.n > 0 && r.secure.median > 0 {
			x := position(r.secure)
			low, high = min(low, x), max(high, x)
			secure = append(secure, plotter.XY{X: x, Y: y})
		}
		own = append(own, plotter.XY{X: 0, Y: y})
		words.XYs = append(words.XYs, plotter.XY{Y: y})
		words.Labels = append(words.Labels, r.label())
	}
	for i := range words.XYs {
		words.XYs[i].X = high
	}
	line, err := plotter.NewLine(plotter.XYs{{X: 0, Y: -0.7}, {X: 0, Y: float64(len(names)) - 0.3}})
	if err != nil {
		return nil, err
	}
	line.Color, line.Width = carriers["ws"], 1.5
	p.Add(line)
	add := func(at plotter.XYs, c color.RGBA, shape draw.GlyphDrawer, radius vg.Length) error {
		if len(at) == 0 {
			return nil
		}
		s, err := plotter.NewScatter(at)
		if err != nil {
			return err
		}
		s.Color, s.Shape, s.Radius = c, shape, radius
		p.Add(s)
		return nil
	}
	for _, c := range []color.RGBA{peerColor, wslis.color(t)} {
		if err := add(points[c], c, draw.CircleGlyph{}, 3); err != nil {
			return nil, err
		}
	}
	if err := add(secure, carriers["wss"], draw.BoxGlyph{}, 2.5); err != nil {
		return nil, err
	}
	if err := add(own, carriers["ws"], draw.CircleGlyph{}, 3.5); err != nil {
		return nil, err
	}
	if err := addLabels(p, t, words); err != nil {
		return nil, err
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.7, float64(len(names))-0.3
	p.X.Min, p.X.Max = low, high
	p.X.LineStyle.Width, p.X.Tick.Length, p.Y.Tick.Length = 0, 0, 0
	p.X.Tick.Marker = plot.TickerFunc(powersOfTwo)
	return toSVG(fieldWidth, fieldStep*vg.Length(len(names))+axisHeight, func(c draw.Canvas) { p.Draw(c) })
}

// label is about the best but ours.
func (r rank) label() string {
	best := r.best()
	text := fmt.Sprintf("%s × %s", digits(best.gain.median), best.subject)
	switch {
	case r.place() > 1:
		return fmt.Sprintf("%s; %d of %d", text, r.place(), len(r.rivals)+1)
	case r.even():
		return text + "; even"
	}
	return text + "; best"
}
