// Package fleet keeps the clients of a server by ID, so that the server can dial them by name.
//
//	clients := fleet.New(fleet.ByHeader("DeviceId"))
//	server := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize))
//	…
//	conn, err := clients.Dial(ctx, "123")
//
// [Fleet.DialContext] takes the ID from the host of an address, so it fits wherever a program
// dials a network address: [http.Transport], grpc.WithContextDialer, database drivers. For
// HTTP, [Fleet.Transport] keeps connections to each client and closes them when it leaves, and
// [ReverseProxy] serves the pages of clients under an address of the server.
//
// # Who a client is
//
// The user's function [Identify] returns a client's ID from its request, before the upgrade.
// The fleet believes what it returns. If you do not trust the network, Identify has to
// authenticate the ID that a header claims, by a token or a certificate. An ID is what
// [CheckID] accepts: it has to fit into a URL.
//
// # Two sessions with one ID
//
// A client whose network has failed comes back before the server notices, and some device is a
// clone of another. [WithDuplicates] decides what happens then. In any case:
//
//   - the fleet does not dial a session that is over or takes no new connections, and the late
//     end of such a session does not remove its successor;
//   - a client that the server itself has asked to move ([transport.Dialer.Moving]) has two
//     sessions for a while, which is no conflict: the fleet dials the new one, and the old one
//     finishes what it has begun;
//   - a client has at most 16 sessions that it has left and that still have connections, or as
//     many as it may have with [KeepAll]: for another the fleet closes the oldest of them;
//   - a newcomer replaces nobody before it has answered a ping, or stayed for 5 s, and not if
//     it is known to have left by then. If a client gives up a session at once, because
//     another of its carriers was faster, that session does no harm, unless it answers a
//     moment before it ends.
//
// A client that is replaced, kicked or refused learns why: the error of its listener is a
// [*transport.ClosedError] that matches [transport.EndReplaced], [transport.EndKicked] or
// [transport.EndRefused]. So does [transport.Dialer.Err] of the session.
//
// # Logs
//
// The fleet names its clients ([transport.NameClient]), so lines of the server's log about a
// session have the client's ID. Without [Fleet.Authorize] the line that the client has
// connected has none, because identification comes later; its session attribute is the same.
//
// The server answers an invalid ID with status 400, or closes the session with that reason if
// there is no Authorize. Both say what the client has sent, and what an ID may be.
//
// # Costs
//
// An idle client costs no goroutine here. The fleet remembers the latest 65,536 clients that
// have left, so that errors can tell them from clients that were never there. Each takes half
// a KiB, or more if the reason for its end is long.
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
package fleet
