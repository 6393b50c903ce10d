// Package fleet keeps the clients of a server by ID, for them to be dialled by name.
//
//	clients := fleet.New(fleet.ByHeader("DeviceId"))
//	server := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize))
//	…
//	conn, err := clients.Dial(ctx, "123")
//
// [Fleet.DialContext] takes the ID from the host of an address, and so fits wherever
// a network address is dialled: [http.Transport], grpc.WithContextDialer, the drivers
// of databases. For HTTP there is more: [Fleet.Transport] keeps connections to each
// client and gives them up when it leaves, and [ReverseProxy] serves the
// clients' pages under an address of the server's.
//
// # Who a client is
//
// A function of the user's, [Identify], tells a client's ID from its request, before
// anything is upgraded. What it believes is what the fleet believes: an ID that a
// header claims has to be authenticated, by a token or a certificate, by whoever does
// not trust the network. IDs are what [CheckID] accepts: they have to fit into a URL.
//
// # Two sessions with one ID
//
// A client whose network has failed comes back before the server knows, and some
// device is a clone of another. What happens then is up to [WithDuplicates]. In any
// case:
//
//   - a session that is over, or takes no new connections, is not dialled, and its
//     late end does not remove its successor;
//   - a client that the server itself has asked to move ([transport.Dialer.Moving])
//     has two sessions for a while, which is no conflict: the new one is dialled, and
//     the old one finishes what it has begun;
//   - a newcomer displaces nobody before it has answered a ping, or stayed for 5 s, and
//     not if it is known to have left by then. So what a client gives up at once,
//     because another of its carriers was faster, does no harm, unless its answer comes
//     a moment before its end.
//
// Where a session is displaced, kicked or refused, the client is told why, and its listener's
// error is a [*transport.ClosedError] that matches [transport.EndReplaced],
// [transport.EndKicked] or [transport.EndRefused]. So does [transport.Dialer.Err] of the
// session.
//
// # Logs
//
// The fleet names its clients ([transport.NameClient]), so lines of the server's log about a
// session have the client's ID. Without [Fleet.Authorize] the line that the client has
// connected does not, because it is identified later: it has the same session.
//
// An ID that is none is answered with status 400, or its session closed with that reason if
// there is no Authorize. Both tell what the client has sent, and what an ID may be.
//
// # Costs
//
// A client that does nothing costs no goroutine here. The IDs of clients that have
// left are remembered, for errors to tell them from those that never came: the latest
// 65,536 of them. Each takes half a KiB, or more if it has left for a reason with a long text.
//
// [http.Transport]: https://pkg.go.dev/net/http#Transport
package fleet
