// Package transport lets servers dial their clients.
//
// A client behind NAT, such as a kiosk, an IoT gateway or an agent in
// somebody's cluster, connects to a server and then listens: [DialAndListen]
// returns a [net.Listener]. The server gets a [Dialer] for each client and
// opens connections to it whenever it wants to. What is sent over them is up
// to both: HTTP, gRPC, SSH, or lines of text.
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
// The client is always the side that dials the carrier, and the server the
// side that listens for it, whoever opens streams. So: THE CLIENT LISTENS, AND
// THE SERVER DIALS. It is the one confusing thing here.
//
// # Layers
//
// A carrier (package carrier) moves bytes between hosts; a multiplexer (package
// mux) makes many streams of that one connection; this package turns it round.
// Carriers and multiplexers are chosen with [WithCarriers] and [WithMuxes]. The
// client offers its multiplexers in order of preference when it connects, the
// server takes the first that it has too, and [Info] tells what came of it. One
// server serves clients that chose differently at the same time. The default
// is WebSocket and qmux, or else yamux, without negotiation if need be, which is what
// wslis, the ancestor of this package, speaks. A multiplexer that hands out the streams
// of the connection itself is offered only on a carrier that has streams.
//
// # Several carriers
//
// A client with several carriers uses the first of them that works, and does not
// wait for one that does not: each has a head start of 300 ms ([WithHeadStart]),
// then the next is tried beside it, and the first session wins. A path that
// swallows packets costs a client that much, and only now and then: a [Client]
// remembers which carriers do not reach a host and passes them over for a minute,
// then two, and an hour at most; after each it probes them again, so that it is
// never on its fallback for good. When nothing else works it tries them all the
// same. [Client.DialAndListenContext] has the details. The memory is that of one
// Client: [DialAndListen] makes a new one each time.
//
// [Info.Fallback] tells why a session is not one of the client's first carrier,
// and a [Trace] what was tried. On the server, an attempt that another was faster
// than may show as a client that connects and leaves at once.
//
// One address serves all carriers: ListenAndServe has the TCP port and the UDP
// port of one number, and its HTTP answers tell of the latter (Alt-Svc).
//
// # What stands on it
//
// A Dialer is one session. Package fleet knows which client it belongs to, and dials clients
// by ID. Package cluster dials a client that is connected to another server. Package rhttp
// sends HTTP requests to one client. Package metrics counts, for Prometheus.
//
// # Lifetimes
//
// A session is one connected client: a [Listener] on its side and a [Dialer] on
// the server's. It begins before [EndpointHandler] is called and lives until
// either side closes it, the carrier fails, or the other end is silent for half
// a minute; when the handler returns is of no importance. Done tells
// that it is over, Err why. A client that connects again is a new session.
//
// A listener ends with its session, unless its client has [WithReconnect]. Then
// Accept goes on with the next one. The client waits between its attempts, at
// random and longer each time ([Backoff]); [Trace.StateChanged] tells what it is at.
// Connections of a session that was lost end with an error.
//
// Only the server itself can send such a client away for good, by an answer with the
// header Backdial-Rejected: 1, which it gives if the function of [WithAuthorize] says so.
// All other refusals may be those of something on the way, such as a gateway that is
// reloaded, a firewall or a portal, or of a server that is about to be mended. The client
// comes back more and more seldom, within five minutes at most. So it does when a server
// of wslis, or of a version that does not know the header, refuses it.
//
// A server that shuts down asks its clients to move. Those with [WithReconnect]
// connect anew, each at a moment of its own, before they leave: Accept returns the
// connections of both sessions, and those that are in use go on in the old one
// until they are closed. So a deploy cuts nothing, if the next server can be
// reached before the last one is gone. [Dialer.Shutdown] moves a single client, and
// [WithMaxAge] all in the course of a day. A client is moved too before the stream ids of
// its session are used up, which yamux and smux have 2³¹ of. A listener has seven sessions at most that
// it has left: the oldest is closed for another.
//
// With [WithSessions] a listener holds sessions to several servers behind one load
// balancer at a time, if these say who they are ([WithServerID]). Accept returns the
// connections of all. They live and move each by itself, but for this: a client makes
// one session at a time, and none beside one whose server it does not know yet. So when
// all its servers shut down at once, it leaves them one by one, and each new session is
// to another server. One that a server ends for good ([ErrForbidden]) is not
// replaced any more, of which [Trace.StateChanged] is told, nor are there others; the listener goes on with those that are
// left. Its state is that of its best session: it is connected while one of them is.
//
// A stream is a [Conn]: a [net.Conn] that also has CloseWrite and Reset. It lives
// until its user closes or resets it, or its session ends. A context given to a
// function bounds the call, never what it returns.
//
// Close of anything ends it at once, wakes whatever is blocked on it, and may
// be repeated. What was written before still arrives: closing a session waits
// until its other end has it, for three seconds at most. Shutdown waits for the
// streams in use first, idle ones of an [http.Transport] among them. After
// either, no goroutine of this package is left but those that run a handler. A function
// of a [Trace] that waits holds them up.
//
// Close of a [Listener] is what programs that serve one expect: it accepts nothing more, and
// the connections that were accepted go on, for 5 s at most ([WithCloseGrace]). So
// [http.Server.Shutdown] on a client cuts no request.
//
// A program may end when it has closed its connections. Over TCP the kernel then has what
// was written to them, and delivers it: Close and CloseWrite of a [Conn] wait for that,
// and Write does if no other data of its session is in front of it. If the other end takes
// nothing, Close and CloseWrite give up after three seconds with mux.ErrUnsent. Over
// WebTransport the kernel has nothing that the other end has not acknowledged: the
// program has to keep it, and to send it again if it is lost. There a program closes its
// [Listener] or [Server], or its [Dialer], before it ends, which waits until the other end
// has what was written. If it leaves connections of a Listener open, the server is told of
// the end by nobody, and notices it as it does a path that is dead.
//
// A path that is dead is noticed on both ends, because both ask for a sign of life
// when nothing is heard ([WithKeepAlive]): within half a minute by default. An end that
// goes on sending, but reads nothing, is noticed within a minute.
//
// # Control messages
//
// What the ends say about a session travels beside its streams, as a message of
// package mux (Session.Send). It is a sequence of unsigned varints, as in
// [encoding/binary], the first of which is its kind:
//
//	1 move     delay   the server asks the client for another session, after
//	                   so many milliseconds, and to leave this one
//	2 moved            the client has another session: this one may be closed
//	                   as soon as its streams are
//	3 staying          the client will not have another session
//	4 leaving          the client is shutting down: it takes no new streams
//	5 closing  n, text the server is about to close the session, because of a
//	                   text of n bytes
//	6 server   n, text the server is the one whose ID is a text of n bytes
//	7 failed           the client has tried in vain to get another session, and will
//	                   try again
//	8 ending   n, text the session is about to end for a reason of the server's, which is
//	                   a word of n bytes: too_old, shutdown, replaced, kicked or refused
//
// A client that is asked to move connects anew and then says moved; if it will not,
// or gives up, it says staying. Each time that it fails before, it says failed. It goes on
// accepting streams of the session that it has left until the server closes it.
//
// A server that has an ID says so when the session begins. An ID is 1 to 128 of the
// characters that RFC 3986, section 2.3, calls unreserved, with no dot at either end;
// any other is ignored, and so is what a server says of itself later. A client that
// wants several sessions lists the servers that it has some to in a field of its next
// request, Backdial-Connected, separated by commas. A server that is among them answers
// with status 421 (RFC 9110, section 15.5.20).
//
// What follows a message that is known is ignored, as are kinds that are not: so
// both can be added to. What is different otherwise is another version, in the token
// that is negotiated: this one is version 1, as in backdial.v1.yamux and
// qmux-02.backdial.1. A peer that negotiates nothing, as wslis, is sent no message, and is
// closed instead of being asked to move.
//
// # Why a session has ended
//
// Each end says so in one word, an [EndReason]: in the log, as the label reason of metrics,
// and by [EndReasonOf] for the errors of [Dialer.Err], [Listener.Err] and [Trace.ClientGone],
// which match it too:
//
//	moved           the client has another session, as its server had asked
//	too_old         it had the age of WithMaxAge, and the client had not moved
//	shutdown        one of the ends has shut down, and the client had not moved
//	replaced        the client has a newer session, as package fleet says
//	kicked          the server's program has thrown the client out
//	refused         the client was connected before it was known that it is not to be
//	closed          this end has closed it, and given no other reason
//	closed_by_peer  the other end has, or nothing was negotiated in which to say more
//	silent          the other end gave no sign of life
//	lost            the connection has failed: the error tells how
//	protocol        the other end broke the protocol, or exceeded a limit
//
// A client that does not answer while it is asked to move is silent as well. Dial then fails
// with [ErrClientGone], and not with [ErrDraining].
//
// # Logs
//
// A line of [WithLogger] about a session has carrier, mux and remote, session, which is
// [Info.Session], and client if somebody has said who that is: package fleet does, or
// [NameClient]. With fleet.Fleet.Authorize the first line has that already. The end of a
// session has reason, and err if that tells more. A client's lines have attempt, which counts
// its attempts to connect since it had a session.
//
// # Errors
//
// What a stream promises is written in package mux, and the same on every
// combination. The one that matters most: Read returns [io.EOF] only if the
// other end finished the stream. If the session is lost in the middle of it,
// the error matches mux.ErrSessionEnded.
//
// Errors say what was tried, where, and why it failed, and match what a caller
// would look for: [net.ErrClosed] for what this end closed, [ErrClientGone] for
// a Dialer whose client is not there any more, [ErrDraining] for one whose client
// is about to leave or to move, [os.ErrDeadlineExceeded], mux.ErrReset for a stream
// that the other end gave up (a *mux.ResetError if the multiplexer has codes),
// *[carrier.RejectedError] for a server that refused a client, [ErrNoCommonMux], and,
// in a Trace or in [Info.Fallback], [ErrLostRace] for a carrier that another was faster
// than, and [ErrServerFull], [ErrAlreadyConnected], [ErrNotHandshake] and
// carrier.ErrOrigin for a request that was refused.
//
// # Limits
//
// All of them are finite by default. Those of a session are set with [WithLimits]:
// it buffers 64 MiB of what nobody has read. Then the peer waits for readers, however
// slow, and streams that nobody reads are reset; a stream's window is 256 KiB, and grows up to 16 MiB if the path
// is long and the reader fast; a server may have 16,384 streams open to a client,
// of which 256 may wait to be accepted, then [Dialer.DialContext] waits too.
//
// With the native multiplexer a window is 512 KiB, and grows up to 2 MiB. What nobody has
// read is kept in the packets in which it arrived, which take up to twice the memory.
//
// A client may open none, and is refused: if it goes on trying, for the 101st time,
// it loses its session. [WithAcceptFromClient] allows 256 at a time, or 62 with native.
//
// A server has 65,536 clients at most ([WithMaxSessions]) and 1,024 handshakes
// under way ([WithMaxHandshakes], which counts requests whose header has arrived),
// and asks clients to move when their session is nearly a day old ([WithMaxAge]). A
// handshake takes 10 s at most ([WithHandshakeTimeout]). A carrier that knows its
// clients before their request, as WebTransport does, has as many of them as there
// may be handshakes, and ends the one that has waited longest for another. One source
// address may take all of that, unless [WithAddressLimits] says otherwise.
//
// The header of a request, which the Dialer keeps, has 100 fields and 16 KiB at most: a
// client with more is refused with status 431. Servers that listen by themselves read no
// more; an http.Server around the [Server] reads 1 MiB unless its MaxHeaderBytes is less.
//
// A client holds eight sessions at most ([WithSessions]), and one by default.
//
// An idle session costs, on each side:
//
//	              memory            goroutines
//	ws            11 to 16 KiB       1
//	wss           24 KiB             1
//	webtransport  80 to 110 KiB     13
//
// The tests in limits_test.go measure this, and print it. An Accept that waits for several sessions costs one more for each of them, and a
// client that finds no server for another session costs one in all.
package transport
