// Package metrics counts for Prometheus what servers and clients do. It is a module of its
// own: programs that do not import it do not depend on Prometheus.
//
//	c := metrics.New()
//	prometheus.MustRegister(c)
//	server := transport.NewServer(handler, transport.WithTrace(c.Trace()))
//
// For a client use [NewClient], and for a fleet [NewFleet]. Labels have few values: the
// configuration of this end, or the words listed below. No label names a client, by ID or
// address, so a million clients make as many series as one. Traces can name them: see
// package otelbackdial, in [github.com/backdial/backdial/metrics/otel].
//
// # Servers
//
// carrier and mux are the names of what the server has, such as "ws" and "qmux". Series with
// these labels begin with the first session; the others are there from the beginning.
//
//	backdial_dial_duration_seconds               histogram
//	backdial_dials_total                         counter    result
//	    result: canceled closed draining gone ok other timeout
//	backdial_handshake_failures_total            counter    code, reason
//	    code: 401 403 404 409 421 429 500 503 other
//	    reason: canceled closing connected full no_common_mux not_handshake origin other rejected timeout
//	backdial_session_duration_seconds            histogram  carrier, mux
//	backdial_sessions                            gauge      carrier, mux
//	backdial_sessions_closed_total               counter    carrier, mux, reason
//	    reason: closed closed_by_peer kicked lost moved protocol refused replaced shutdown silent too_old
//	backdial_sessions_opened_total               counter    carrier, mux
//	backdial_stream_errors_total                 counter    carrier, mux, reason
//	    reason: closed other reset session_ended
//	backdial_stream_read_bytes_total             counter    carrier, mux
//	backdial_stream_written_bytes_total          counter    carrier, mux
//	backdial_streams                             gauge      carrier, mux
//	backdial_streams_opened_total                counter    carrier, mux
//
// Why a session has ended, in sessions_closed_total, is a [transport.EndReason]:
//   - moved: the client has another session, because its server asked
//   - too_old: it had the age of [transport.WithMaxAge], and the client had not moved
//   - shutdown: one end has shut down, and the client had not moved
//   - replaced: the client has a newer session
//   - kicked: the server's program has closed the client's session
//   - refused: the server refused the client after it had connected
//   - closed: this end closed it, for no other reason
//   - closed_by_peer: the other end closed it, and gave no reason
//   - silent: the other end gave no sign of life ([transport.WithKeepAlive])
//   - lost: the connection failed
//   - protocol: the other end broke the protocol, or exceeded a limit
//
// The result of a Dial, in dials_total. dial_duration_seconds counts only those that are ok:
//   - ok: there is a stream
//   - draining: one end is about to leave ([transport.ErrDraining])
//   - gone: the client is gone ([transport.ErrClientGone])
//   - closed: this end had closed the session
//   - timeout: the deadline of its context passed, because the client does not accept
//   - canceled: its context was canceled
//   - other: anything else
//
// Why a Read or Write has failed, in stream_errors_total. Each stream counts once, when its
// user closes it:
//   - reset: the other end reset or refused the stream
//   - session_ended: the session was lost, or closed by the other end
//   - closed: this end closed the session
//   - other: anything else
//
// Why a request did not lead to a session, in handshake_failures_total:
//   - full: there are too many sessions or handshakes ([transport.ErrServerFull])
//   - closing: the server shuts down ([transport.ErrServerClosed])
//   - connected: the client holds sessions to several servers, and has one here already
//     ([transport.ErrAlreadyConnected])
//   - origin: a page may not connect (carrier.ErrOrigin)
//   - not_handshake: it did not ask for a session ([transport.ErrNotHandshake])
//   - no_common_mux: the ends have no multiplexer in common, or something on the way
//     removed what they said about it ([transport.ErrNoCommonMux])
//   - rejected: [transport.WithAuthorize] refused the client. The code is the status, if it
//     is listed. 500 means that the function panicked, and 503 that it failed
//   - timeout: it took too long
//   - canceled: the client did not wait for the answer
//   - other: anything else, such as a malformed request
//
// A client that sends no request is not counted.
//
// # Clients
//
// These have the same meaning as those of servers, except as explained below.
//
//	backdial_client_connects_total               counter    carrier, code, result
//	    code: 401 403 404 409 421 429 500 503 other
//	    result: canceled certificate dns lost_race no_common_mux ok other rejected timeout
//	backdial_client_dial_duration_seconds        histogram
//	backdial_client_dials_total                  counter    result
//	    result: canceled closed draining gone ok other timeout
//	backdial_client_listeners                    gauge      state
//	    state: connected draining moving waiting
//	backdial_client_moves_total                  counter    outcome
//	    outcome: lost moved stayed
//	backdial_client_session_duration_seconds     histogram  carrier, mux
//	backdial_client_sessions                     gauge      carrier, mux
//	backdial_client_sessions_closed_total        counter    carrier, mux, reason
//	    reason: closed closed_by_peer kicked lost moved protocol refused replaced shutdown silent too_old
//	backdial_client_sessions_opened_total        counter    carrier, mux
//	backdial_client_states_entered_total         counter    state
//	    state: connected connecting draining ended moving waiting
//	backdial_client_stream_errors_total          counter    carrier, mux, reason
//	    reason: closed other reset session_ended
//	backdial_client_stream_read_bytes_total      counter    carrier, mux
//	backdial_client_stream_written_bytes_total   counter    carrier, mux
//	backdial_client_streams                      gauge      carrier, mux
//	backdial_client_streams_opened_total         counter    carrier, mux
//
// The result of an attempt to connect with a carrier, in client_connects_total:
//   - ok: there is a session
//   - lost_race: another carrier was first ([transport.ErrLostRace])
//   - rejected: the server answered with a status, which is the code, or other
//   - no_common_mux: as above
//   - dns: the name of the server was not found
//   - certificate: the client does not trust the server's. Its clock may be wrong
//   - timeout: it took too long
//   - canceled: the attempt was given up
//   - other: anything else, such as a server that does not listen
//
// The state of a listener with [transport.WithReconnect]. waiting in states_entered_total
// counts how often there was no session:
//   - connecting: an attempt is under way. A listener's first attempt is not counted
//   - connected: there is a session
//   - moving: there is one whose server asks for another
//   - waiting: there is none, and a pause before the next attempt
//   - draining: Shutdown or Close was called, and connections are in use
//   - ended: there will be no other session
//
// The outcome of a move to another session, in client_moves_total:
//   - moved: there is another session
//   - stayed: it failed, and the session goes on
//   - lost: the session ended before there was another
//
// # Fleets
//
//	backdial_fleet_clients                       gauge
//	backdial_fleet_sessions                      gauge
//	backdial_fleet_sessions_kicked_total         counter
//	backdial_fleet_sessions_rejected_total       counter
//	backdial_fleet_sessions_replaced_total       counter
//
// A session is replaced by a newer one of the same client, rejected because its client
// has one already, or kicked by the program.
package metrics
