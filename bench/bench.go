// Package bench measures every combination of carrier and multiplexer, through
// the public API, beside what they are made of: a TCP connection, bare yamux and
// smux, bare WebTransport, and wslis, the ancestor of this library. It has no
// code but benchmarks:
//
//	go test -run '^$' -bench . ./bench
//
// What they do is in package harness, which the module in the folder peers has do
// the same with other libraries. Compare figures of one run only, as ratios:
// machines are noisy.
//
// The baselines are carriers too, named for what they are: tcp and tls make a
// connection for each stream, tcp with a mux is that library's own on a TCP
// connection, wslis is gorilla/websocket and yamux as wslis configures them, and
// webtransport-go is that library alone. Between them and the combinations are
// rows with one layer of each: our multiplexers on a TCP connection, and those
// libraries on our ws.
package bench
