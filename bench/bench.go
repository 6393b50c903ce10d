// Package bench measures every combination of carrier and multiplexer, through the public
// API, beside their parts: a TCP connection, bare yamux and smux, bare WebTransport, and
// wslis, the ancestor of this library. It contains only benchmarks:
//
//	go test -run '^$' -bench . ./bench
//
// The benchmarks themselves are in package harness; the module in the folder peers runs
// them with other libraries. Compare only figures of one run, as ratios: machines are
// noisy.
//
// The baselines are carriers too: tcp and tls make a connection for each stream, tcp with
// a mux is that library alone on a TCP connection, wslis is gorilla/websocket and yamux
// as wslis configures them, and webtransport-go is that library alone. Between them and
// the combinations are rows with one layer replaced: our multiplexers on a TCP
// connection, and those libraries on our ws.
//
// The folder device has programs that a device would run, for their size, and the folder relay
// one that takes the place of examples/forward. Some rows need more than Go: loss with the
// kernel's TCP needs the right to make a network device, and rows with foreign programs need
// redis-benchmark and redis-server, pgbench and PostgreSQL, iperf3, and OpenSSH. Rows are
// skipped, with the reason, where something is missing.
package bench
