// Package proxytest tests sessions through the reverse proxies that users put before
// their servers: nginx, HAProxy and Caddy. Each runs as a process of its own, with
// WebSocket and each multiplexer, with TLS that ends at the proxy, or without TLS.
//
// The configurations in testdata are those of the documentation, except for addresses and
// the subject of a test; a test compares them. Tests of a proxy that is not installed are
// skipped, unless BACKDIAL_REQUIRE_PROXIES is 1.
//
// What happens to a session:
//
//   - nginx cuts it when nothing has passed for proxy_read_timeout, 60 s by default, and
//     HAProxy after timeout tunnel. A more frequent keepalive prevents that. Caddy has no
//     such timeout.
//   - When nginx is reloaded, the session stays with its worker, until
//     worker_shutdown_timeout if that is set. HAProxy does the same with hard-stop-after.
//     Caddy closes it with a close frame, which it may write into the middle of another
//     frame: the last bytes that arrive before the error may be bytes that nobody has
//     sent.
//   - A server that shuts down answers 503. nginx and HAProxy can then ask another
//     server, so that a client that moves never sees the answer. Caddy passes it on, but
//     can leave that server out from then on.
package proxytest
