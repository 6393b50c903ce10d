package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A document is the content of the report, in whatever form.
type document struct {
	about
	Processor string
	Failures  []string
	Skipped   []string
	Standing  *standing // nil if there is nobody to stand among
	Summary   *part     // nil if there is nothing to compare
	Sections  []section
}

// A section is one benchmark, or all benchmarks of the cluster, each in parts of its own.
type section struct {
	Title, Text string
	Parts       []part
}

// A part is a table, its plots, or both.
type part struct {
	Title string // empty if the section has no other part
	Text  string
	Plots []figure
	Table grid
}

// explained describes benchmarks whose names do not say enough.
var explained = map[string]section{
	"StreamSetup": {Title: "Stream setup", Text: "The server dials and writes a byte, the client accepts and echoes it, " +
		"the server reads it and closes. For tcp and tls, a stream is a connection."},
	"StreamSetupAtOnce": {Title: "Stream setup, 64 at once", Text: "The same, from 64 goroutines of the server at a time."},
	"Ping":              {Title: "Ping", Text: "64 bytes to and fro on an open stream."},
	"PingBesideBulk": {Title: "Ping beside bulk", Text: "The same, while another stream of the session carries as much " +
		"as it can. For tcp and tls, that is another connection."},
	"BulkAndPings": {Title: "One bulk and 100 pings", Text: "100 streams of a session ping at the same time, beside one that " +
		"carries as much as it can: neither should starve the other. For tcp and tls, each is a connection."},
	"SmallWriters": {Title: "Small writers", Text: "1,000 streams of a session carry 100 bytes a second each, to and fro."},
	"SlowReaders": {Title: "Slow readers", Text: "32 streams of a session whose clients read less than the server writes, steadily: " +
		"64 KiB and then nothing for 150 ms. Meanwhile another stream pings. What waits is held by both ends."},
	"HTTP": {Title: "HTTP", Text: "Users of the server ask a client that serves HTTP, through fleet.Transport or else an http.Transport " +
		"over its streams; tcp and tls are HTTP/1.1 as everybody has it."},
	"Programs": {Title: "Programs that others wrote", Text: "They use a service of a device: directly, through a relay that joins TCP " +
		"connections, through examples/forward in its place, and through ssh -R of OpenSSH, which encrypts."},
	"SessionSetupAtOnce":   {Title: "Session setup, 64 at once", Text: "64 goroutines connect clients. None leaves before the last has come."},
	"SessionSetupAndClose": {Title: "Session setup and Close", Text: "Clients connect and leave, one after the other."},
	"Quiet": {Title: "Idle for a minute", Text: "The processor time of 1,000 sessions on which nothing happens, of both ends, " +
		"with the keepalive of each library; and what one session sends in a day, both ends, with the headers of IP and of TCP or UDP, " +
		"without acknowledgments of TCP."},
	"Device": {Title: "Device", Text: "A program for a device, stripped, and its memory when it is connected and has answered once. " +
		"That of tcp has one connection and no streams."},
	"Upgrade": {Title: "Upgrade", Text: "A WebSocket and nothing on it. The allocations are those of both ends."},
	"Loss": {Title: "Loss", Text: "As Distance, but through a network device that loses 1 % of all packets, with the kernel's TCP at both " +
		"ends, and with the congestion control that it is told to have. To QUIC that is the same."},
	"Throughput": {Title: "Throughput", Text: "Bytes one way, in writes of 64 KiB. " +
		"The processor time is that of both ends."},
	"SessionSetup": {Title: "Session setup", Text: "Clients connect, one after the other."},
	"IdleSessions": {Title: "Idle sessions", Text: "What a session costs on which nothing happens: heap and stacks of both ends."},
	"IdleStreams":  {Title: "Idle streams", Text: "What an open stream costs on which nothing happens: heap and stacks of both ends."},
	"Distance": {Title: "Distance", Text: "Through a relay that delays and loses, with a link of 100 MB/s: " +
		"the throughput of one stream; and in round trips, how long it takes to set up a session, until the first stream of it has its " +
		"answer, to set up another stream, and to ping beside the full one. TCP ends at the relay, which does for it what it can do best."},
	"ScaleSessions": {Title: "Many sessions", Text: "How stream setup, ping and memory grow with the sessions of a server."},
	"ClusterDial": {Title: "Dial", Text: "Until the client has answered a byte, and until Dial returns. " +
		"A replica that has dialled a remote client before knows its owner, and otherwise locates it; " +
		"a session with that replica is opened when it is first needed."},
	"ClusterThroughput": {Title: "Throughput", Text: "Bytes one way, in writes of 64 KiB. " +
		"The processor time is that of the client and of both replicas."},
	"ClusterIdle": {Title: "Idle", Text: "What something open and idle costs one replica in heap and stacks."},
	"ClusterPresence": {Title: "Presence", Text: "Three replicas announce their clients at once, until all engines know all clients. " +
		"Then one engine is lost, with its third of the clients, until the others have dropped those; then all engines are lost " +
		"and come back empty, until they know all clients again. Memory per client is that of all three replicas, " +
		"without the sessions of the clients."},
	"ClusterLookup": {Title: "Lookup", Text: "A replica asks the engine which replica has a client."},
	"ClusterFailover": {Title: "Failover", Text: "From kill -9 of the replica through which a client was dialled, until another replica has dialled it " +
		"through a third and has its answer. Back-off is the part in which the client waits before it connects again, " +
		"a random part of 50 ms."},
	"ScaleStreams": {Title: "Many streams", Text: "How stream setup, ping and memory grow with the open streams of a session."},
}

const clusterText = "Replicas with embedded NATS servers, and mutual TLS between all of them; " +
	"clients connect by ws and qmux to one of them. Local clients are dialled by that one, without the others; " +
	"remote ones by another. That adds a hop with TLS, so a local client by wss is measured too."

func newDocument(a about, r *results) *document {
	d := &document{about: a, Processor: r.processor, Failures: r.failures, Skipped: r.skipped, Standing: stand(r), Summary: summarize(r)}
	clustered := section{Title: "Cluster", Text: clusterText}
	for _, b := range r.benchmarks {
		if strings.HasPrefix(b.name, "Cluster") {
			clustered.Parts = append(clustered.Parts, b.section().asParts()...)
			continue
		}
		d.Sections = append(d.Sections, b.section())
	}
	if len(clustered.Parts) > 0 {
		d.Sections = append(d.Sections, clustered)
	}
	return d
}

// asParts puts a section's own text, table and plots into parts.
func (s section) asParts() []part {
	for i := range s.Parts {
		p := &s.Parts[i]
		p.Title = strings.TrimSuffix(s.Title+", "+p.Title, ", ")
	}
	s.Parts[0].Text = s.Text
	return s.Parts
}

func (b *benchmark) title() string {
	if s, ok := explained[b.name]; ok {
		return s.Title
	}
	return words(b.name)
}

func (b *benchmark) section() section {
	s := section{Title: b.title(), Text: explained[b.name].Text}
	if b.scales() {
		s.Parts = b.scaleParts()
		return s
	}
	for _, t := range b.tables {
		p := part{Title: t.title(), Table: t.grid()}
		for _, u := range unitsOf(t.units) {
			if !u.side && len(t.rows) > 1 { // a single row compares nothing
				p.Plots = append(p.Plots, newBars(t, u))
			}
		}
		s.Parts = append(s.Parts, p)
	}
	return s
}

// scales reports whether the variants of b are sizes of the same thing, so that a line
// through them says more than a table for each.
func (b *benchmark) scales() bool { return strings.HasPrefix(b.name, "Scale") }

// scaleParts returns the plots, and then a table for each unit with a column for each
// size.
func (b *benchmark) scaleParts() []part {
	var plots part
	var tables []part
	last := b.tables[len(b.tables)-1]
	for _, u := range unitsOf(last.units) {
		var columns []column
		for _, t := range b.tables {
			if slices.Contains(t.units, u.key) { // for few, memory means nothing
				columns = append(columns, column{head: t.title(), table: t, unit: u})
			}
		}
		if !u.side {
			if l := newLines(b, u); len(l.lines) > 0 {
				plots.Plots = append(plots.Plots, l)
			}
			for _, c := range ratios(last, u) {
				c.head += ", " + last.title()
				columns = append(columns, c)
			}
		}
		tables = append(tables, part{Title: u.title, Table: newGrid(last.rows, columns)})
	}
	return append([]part{plots}, tables...)
}

// title is what distinguishes a variant, such as "rtt 20ms, loss 0%".
func (t *table) title() string {
	var titles []string
	for _, p := range t.params {
		titles = append(titles, p.String())
	}
	return strings.Join(titles, ", ")
}

// String puts a number first: "8 streams", but "to client".
func (p param) String() string {
	if p.key == "program" {
		return strings.ReplaceAll(p.value, "_", " ")
	}
	if _, err := strconv.Atoi(p.value); err != nil {
		return strings.TrimSpace(p.key + " " + p.value)
	}
	if p.value == "1" {
		return "1 " + strings.TrimSuffix(p.key, "s")
	}
	return p.value + " " + p.key
}

// words turns a name in camel case into words.
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Intro says how to read the figures.
func (d *document) Intro() string {
	s := fmt.Sprintf("Medians of %s; ± is half of the distance between the quartiles. ", d.Measured)
	if d.repeats == 1 {
		s = fmt.Sprintf("Measured once (%s), so nobody can tell how far to trust a figure. ", d.Measured)
	}
	return s + "A column with × is the ratio to that baseline in the same repeat: ratios are what to look at, " +
		"as machines differ and drift. What is 2 times as good takes half, or does twice as much, of what the row measures. " +
		"Both ends run on one machine."
}
