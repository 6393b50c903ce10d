// Package proxytest tests sessions that pass the reverse proxies that users have in
// front of their servers: nginx, HAProxy and Caddy, each as a process of its own,
// with WebSocket and each multiplexer, where TLS ends at the proxy or there is none.
//
// The configurations in testdata are those of the README, which a test sees to, but
// for addresses and what a test is about. A proxy that is not installed is skipped,
// unless BACKDIAL_REQUIRE_PROXIES is 1.
//
// What happens to a session:
//
//   - nginx cuts it when nothing has passed for proxy_read_timeout, 60 s by default,
//     and HAProxy after timeout tunnel. A keepalive that is more frequent prevents
//     that. Caddy has no such timeout.
//   - When nginx is reloaded, the session stays with the worker that has it, until
//     worker_shutdown_timeout if that is set. So it is with HAProxy and
//     hard-stop-after. Caddy closes it, with a close frame that it may write into the
//     middle of another frame: what arrives last, before the error, may be a few bytes
//     that nobody has sent.
//   - A server that shuts down answers 503, which nginx and HAProxy can be told to
//     take for a reason to ask another server, so that a client that moves does not
//     meet with it. Caddy passes it on, and can be told to leave that server out from
//     then on.
package proxytest
