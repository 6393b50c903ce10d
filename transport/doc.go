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
// A Dialer is one session. Which client it belongs to is for package fleet to know,
// which dials clients by ID; package rhttp sends HTTP requests to one client.
//
// # Lifetimes
//
// A session is one connected client: a [Listener] on its side and a [Dialer] on
// the server's. It begins before [EndpointHandler] is called and lives until
// either side closes it, the carrier fails, or the other end does not answer
// for half a minute; when the handler returns is of no importance. Done tells
// that it is over, Err why. A client that connects again is a new session.
//
// A listener ends with its session, unless its client has [WithReconnect]. Then
// Accept goes on with the next one. The client waits between its attempts, at
// random and longer each time ([Backoff]), until one fails in a way that will not
// change ([Retryable]); [Trace.StateChanged] tells what it is at. Connections of a
// session that was lost end with an error.
//
// A server that shuts down asks its clients to move. Those with [WithReconnect]
// connect anew, each at a moment of its own, before they leave: Accept returns the
// connections of both sessions, and those that are in use go on in the old one
// until they are closed. So a deploy cuts nothing, if the next server can be
// reached before the last one is gone. [Dialer.Shutdown] moves a single client, and
// [WithMaxAge] all in the course of a day. A listener has seven sessions at most that
// it has left: the oldest is closed for another.
//
// With [WithSessions] a listener holds sessions to several servers behind one load
// balancer at a time, if these say who they are ([WithServerID]). Accept returns the
// connections of all. They live and move each by itself, but for this: a client makes
// one session at a time, and none beside one whose server it does not know yet. So when
// all its servers shut down at once, it leaves them one by one, and each new session is
// to another server. One that an attempt ends for good, such as with status 403, is not
// replaced any more, nor are there others; the listener goes on with those that are
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
// either, no goroutine of this package is left but those that run a handler. What
// waits in a function of a [Trace] holds them up.
//
// A path that is dead is noticed on both ends, because both ask for a sign of life
// when nothing is heard ([WithKeepAlive]): within half a minute by default.
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
//
// A client that is asked to move connects anew and then says moved; if it will not,
// or gives up, it says staying. It says nothing while it tries. It goes on
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
// both can be added to. What is different otherwise is another version, in the name
// of the multiplexer that is negotiated: this one is part of backdial.v1. A peer
// that negotiates nothing, as wslis, is sent no message, and is closed instead of
// being asked to move.
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
// it buffers 64 MiB of what nobody has read, then resets the streams that hold
// most of it; a stream's window is 256 KiB, and grows up to 16 MiB if the path
// is long and the reader fast; a server may have 16,384 streams open to a client,
// of which 256 may wait to be accepted, then [Dialer.DialContext] waits too.
//
// A client may open none, and is refused: if it goes on trying, for the 101st time,
// it loses its session. [WithAcceptFromClient] allows 256 at a time.
//
// A server has 65,536 clients at most ([WithMaxSessions]) and 1,024 handshakes
// under way ([WithMaxHandshakes], which counts requests whose header has arrived),
// and asks clients to move when their session is nearly a day old ([WithMaxAge]). A
// handshake takes 10 s at most ([WithHandshakeTimeout]). The header of a request,
// which the Dialer keeps, has 64 KiB at most on servers that listen by themselves,
// and what an http.Server around the [Server] allows otherwise.
//
// A client holds eight sessions at most ([WithSessions]), and one by default.
//
// An idle session costs one goroutine on each side, and no write buffer. An Accept that
// waits for several costs one more for each, and a client that finds no server for
// another session one in all.
package transport
