// Package bench measures every combination of carrier and multiplexer, through
// the public API, beside what they are made of: a TCP connection, bare yamux and
// smux, bare WebTransport, and wslis, the ancestor of this library. It has no
// code but benchmarks:
//
//	go test -run '^$' -bench . ./bench
//
// Names are in the form of benchstat: BenchmarkStreamSetup/carrier=ws/mux=yamux.
// All ends run in one process, on the loopback interface, so the processor time
// is that of both. Compare figures of one run only, as ratios: machines are
// noisy.
//
// The baselines are carriers too, named for what they are: tcp and tls make a
// connection for each stream, tcp with a mux is that library's own on a TCP
// connection, wslis is gorilla/websocket and yamux as wslis configures them, and
// webtransport-go is that library alone.
package bench
