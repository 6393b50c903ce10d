// Package transport lets servers dial their clients.
//
// A client behind NAT, such as a kiosk, an IoT gateway or an agent in somebody's cluster,
// connects to a server and then listens: [DialAndListen] returns a [net.Listener]. The server
// gets a [Dialer] for each client, and opens connections to it whenever it wants. What they
// carry is up to both: HTTP, gRPC, SSH, or lines of text.
//
//	     client (device, agent, kiosk)                  server (your backend)
//	http.Serve(lis, handler), grpc.Serve …         d.Dial(), http.Client, grpc.NewClient …
//	┌─────────────────────────────┐                ┌─────────────────────────────┐
//	│ transport  DialAndListen    │ ◄── streams ── │ transport  Server → Dialer  │
//	│ mux        qmux│yamux│smux …│     opened by  │ mux        qmux│yamux│smux …│
//	│ carrier    ws │ webtransport│     the server │ carrier    ws │ webtransport│
//	└─────────────────────────────┘                └─────────────────────────────┘
//	               └──────────── one connection, dialled by the client ──► │
//
// The client always dials the carrier, and the server always listens for it, whichever of them
// opens streams. So: THE CLIENT LISTENS, AND THE SERVER DIALS. It is the one confusing thing
// here.
//
// # Layers
//
// A carrier (package carrier) moves bytes between hosts; a multiplexer (package mux) makes many
// streams of that one connection; this package turns it round. [WithCarriers] and [WithMuxes]
// choose them. When a client connects, it offers its multiplexers in order of preference, and
// the server takes the first that it has too; [Info] has the result. One server serves clients
// that chose differently at the same time. The default is WebSocket with qmux, or else yamux,
// which needs no negotiation: wslis, the ancestor of this package, uses it without. A multiplexer
// that uses the streams of the connection itself is offered only on a carrier that has streams.
//
// # Several carriers
//
// A client with several carriers uses the first of them that works, and does not wait for one
// that does not: each has a head start of 300 ms ([WithHeadStart]), then the client tries the
// next beside it, and the first session wins. So a path that swallows packets costs 300 ms, and
// only now and then: a [Client] remembers which carriers do not reach a host, and passes them
// over for a minute, then two, and an hour at most. After each pause it tries them again, so it
// is never on its fallback for good. When nothing else works, it tries them all.
// [Client.DialAndListenContext] has the details. Each Client has its own memory:
// [DialAndListen] makes a new one each time.
//
// [Info.Fallback] tells why a session does not use the client's first carrier, and a [Trace]
// what the client tried. On the server, an attempt that lost to another may look like a client
// that connects and leaves at once.
//
// One address serves all carriers: ListenAndServe listens on the TCP port and the UDP port with
// the same number, and its HTTP answers name the latter (Alt-Svc).
//
// # Packages on top
//
// A Dialer is one session. Package fleet knows which client it belongs to, and dials clients by
// ID. Package cluster dials a client that is connected to another server. Package rhttp sends
// HTTP requests to one client. Package metrics counts, for Prometheus.
//
// # Lifetimes
//
// A session is one connected client: a [Listener] on its side and a [Dialer] on the server's.
// It begins before [EndpointHandler] is called, and lives until either side closes it, the
// carrier fails, or the other end is silent for half a minute. It does not matter when the
// handler returns. Done is closed at its end, and Err has the reason. A client that connects
// again gets a new session.
//
// A listener ends with its session, unless its client has [WithReconnect]. Then Accept goes on
// with the next session. The client pauses between attempts, at random and longer each time
// ([Backoff]); [Trace.StateChanged] reports its state. Connections of a session that was lost
// end with an error.
//
// Only the server itself can send such a client away for good, by an answer with the header
// Backdial-Rejected: 1. It gives that answer if the function of [WithAuthorize] decides so.
// Any other refusal may come from something on the way, such as a gateway that reloads, a
// firewall or a portal, or from a server that is about to be mended. After it the client comes
// back, less and less often, but within five minutes. It does the same after a refusal from
// wslis, or from a version that does not know the header.
//
// A server that shuts down asks its clients to move. Those with [WithReconnect] connect again
// before they leave, each at a moment of its own. Accept returns the connections of both
// sessions, and those in use go on in the old session until they are closed. So a deploy cuts
// nothing, if clients can reach the next server before the last one is gone. [Dialer.Shutdown]
// moves a single client, and [WithMaxAge] moves all of them within a day. A server also moves
// a client before the stream ids of its session run out: yamux and smux have 2³¹ of them. A
// listener keeps at most seven sessions that it has left: it closes the oldest for another.
//
// With [WithSessions] a listener holds sessions to several servers behind one load balancer at a
// time, if these have IDs ([WithServerID]). Accept returns the connections of all. Each session
// lives and moves by itself, with one exception: a client makes one session at a time, and none
// beside a session whose server it does not know yet. So when all its servers shut down at once,
// it leaves them one by one, and each new session is to another server. If a server ends a
// session for good ([ErrForbidden]), the client does not replace it, nor any other, and reports
// that to [Trace.StateChanged]; the listener goes on with the sessions that are left. Its state
// is that of its best session: it is connected while one of them is.
//
// A stream is a [Conn]: a [net.Conn] with CloseWrite and Reset. It lives until its user closes
// or resets it, or its session ends. A context given to a function limits the call, never its
// result.
//
// Close of anything ends it at once, wakes whatever is blocked on it, and may be repeated. What
// was written before still arrives: closing a session waits until its other end has it, for
// three seconds at most. Shutdown first waits for the streams in use, including idle ones of an
// [http.Transport]. After either, no goroutine of this package is left except those that run a
// handler. A function of a [Trace] that blocks holds them up.
//
// Close of a [Listener] does what programs that serve one expect: it accepts nothing more, and
// the accepted connections go on, for 5 s at most ([WithCloseGrace]). So [http.Server.Shutdown]
// on a client cuts no request.
//
// A program may exit when it has closed its connections. Over TCP the kernel then has what was
// written to them, and delivers it: Close and CloseWrite of a [Conn] wait for that, and so does
// Write if no other data of its session is in front of it. If the other end takes nothing, Close
// and CloseWrite give up after three seconds with mux.ErrUnsent. Over WebTransport the kernel
// does not keep what the other end has not acknowledged: the program has to keep it, and to send
// it again if it is lost. So there a program closes its [Listener] or [Server], or its [Dialer],
// before it exits, which waits until the other end has what was written. If it leaves connections
// of a Listener open, nothing tells the server of the end: it notices that as it notices a dead
// path.
//
// Both ends notice a dead path within half a minute by default: when they hear nothing, they
// ask for a sign of life, in turns ([WithKeepAlive]). They notice an end that keeps sending but
// reads nothing within a minute.
//
// # Control messages
//
// What the ends say about a session travels beside its streams, as a message of package mux
// (Session.Send). A message is a sequence of unsigned varints, as in [encoding/binary]. The
// first is its kind:
//
//	1 move     delay   the server asks the client for another session, after so many
//	                   milliseconds, and to leave this one
//	2 moved            the client has another session: the server may close this one
//	                   as soon as its streams are closed
//	3 staying          the client will not have another session
//	4 leaving          the client is shutting down: it takes no new streams
//	5 closing  n, text the server is about to close the session, because of a
//	                   text of n bytes
//	6 server   n, text the ID of the server is a text of n bytes
//	7 failed           the client has tried in vain to get another session, and will
//	                   try again
//	8 ending   n, text the session is about to end for a reason of the server's, a
//	                   word of n bytes: too_old, shutdown, replaced, kicked or refused
//
// A client that is asked to move connects again and then says moved; if it does not want to
// move, or gives up, it says staying. Each time that it fails before, it says failed. It keeps
// accepting streams of the session that it has left until the server closes it.
//
// A server that has an ID says so when the session begins. An ID is 1 to 128 of the characters
// that RFC 3986, section 2.3, calls unreserved, with no dot at either end. A client ignores any
// other ID, and any further ID from the same server. A client that wants several sessions lists
// the servers that it has sessions to in a field of its next request, Backdial-Connected,
// separated by commas. A server that is in the list answers with status 421 (RFC 9110, section
// 15.5.20).
//
// A receiver ignores what follows a known message, and messages of unknown kinds, so a later
// version can add both. Any other change makes another version, in the negotiated token: this
// one is version 1, as in backdial.v1.yamux and qmux-02.backdial.1. A peer that negotiates
// nothing, as wslis, gets no message: a server closes its session instead of asking it to
// move.
//
// # Why a session has ended
//
// Each end gives the reason in one word, an [EndReason]: in the log, as the label reason of
// metrics, and by [EndReasonOf] for the errors of [Dialer.Err], [Listener.Err] and
// [Trace.ClientGone], which match it too:
//
//	moved           the client has another session, because its server asked
//	too_old         it had the age of WithMaxAge, and the client had not moved
//	shutdown        one end has shut down, and the client had not moved
//	replaced        the client has a newer session, as package fleet says
//	kicked          the server's program has closed the client's session
//	refused         the server refused the client after it had connected
//	closed          this end has closed it, and given no other reason
//	closed_by_peer  the other end has closed it and given no reason, or could not say why
//	                because nothing was negotiated
//	silent          the other end gave no sign of life
//	lost            the connection has failed: the error tells how
//	protocol        the other end broke the protocol, or exceeded a limit
//
// A client that does not answer when it is asked to move counts as silent as well. Dial then
// fails with [ErrClientGone], and not with [ErrDraining].
//
// # Logs
//
// A line of [WithLogger] about a session has the attributes carrier, mux and remote; session,
// which is [Info.Session]; and client if the client has a name, from package fleet or
// [NameClient]. With fleet.Fleet.Authorize the first line has that already. The end of a session
// has reason, and err if that tells more. A client's lines have attempt, which counts its
// attempts to connect since it had a session.
//
// # Errors
//
// Package mux documents what a stream promises, which is the same on every combination. The most
// important promise: Read returns [io.EOF] only if the other end finished the stream. If the
// session is lost in the middle of it, the error matches mux.ErrSessionEnded.
//
// Errors say what was tried, where, and why it failed, and match what a caller would look for:
//
//   - [net.ErrClosed]: this end closed it
//   - [ErrClientGone]: the client of a Dialer is gone
//   - [ErrDraining]: the client of a Dialer is about to leave or to move
//   - [os.ErrDeadlineExceeded]
//   - mux.ErrReset: the other end reset the stream (a *mux.ResetError if the multiplexer has
//     codes)
//   - *[carrier.RejectedError]: a server refused a client
//   - [ErrNoCommonMux]: the ends have no multiplexer in common
//   - [ErrLostRace], in a Trace or in [Info.Fallback]: another carrier was faster
//   - [ErrServerFull], [ErrAlreadyConnected], [ErrNotHandshake] and carrier.ErrOrigin, in a
//     Trace: the server refused a request
//
// # Limits
//
// All of them are finite by default. [WithLimits] sets those of a session. It buffers 64 MiB that
// nobody has read; beyond that the peer waits for readers, however slow, and the session resets
// streams that nobody reads. A stream's window is 256 KiB, and grows up to 16 MiB if the path is
// long and the reader fast. A server may have 16,384 streams open to a client, of which 256 may
// wait to be accepted; beyond that [Dialer.DialContext] waits too.
//
// With the native multiplexer a window is 512 KiB, and grows up to 6 MiB. Unread data stays in
// the packets in which it arrived, which take up to twice the memory.
//
// A client may open no streams: the server refuses them, and at the 101st try the client loses
// its session. [WithAcceptFromClient] allows 256 at a time, or 62 with native.
//
// A server has at most 65,536 clients ([WithMaxSessions]) and 1,024 handshakes under way
// ([WithMaxHandshakes], which counts requests whose header has arrived), and asks clients to
// move when their session is nearly a day old ([WithMaxAge]). A handshake takes 10 s at most
// ([WithHandshakeTimeout]). With a carrier such as WebTransport, clients connect before they
// send a request. As many of them may wait as there may be handshakes; a new one then takes
// the place of the one that has waited longest. One source address may take all of that,
// unless [WithAddressLimits] says otherwise.
//
// The header of a request, which the Dialer keeps, has at most 100 fields and 16 KiB: the server
// refuses a client with more with status 431. Servers that listen by themselves read no more; an
// http.Server around the [Server] reads 1 MiB unless its MaxHeaderBytes is less.
//
// A client holds at most eight sessions ([WithSessions]), and one by default.
//
// An idle session costs, on each side:
//
//	              memory            goroutines
//	ws            11 to 16 KiB       1
//	wss           24 KiB             1
//	webtransport  80 to 110 KiB     13
//
// The tests in limits_test.go measure and print this. An Accept that waits for several sessions
// costs one more goroutine for each of them, and a client that finds no server for another
// session costs one in all.
package transport
