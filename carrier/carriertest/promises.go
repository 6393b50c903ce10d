package carriertest

import "testing"

// A Promise is the name of one line of the contract, and of its subtest.
type Promise string

// How connections are made.
const (
	// AgreesUponProtocol: the server sees the client's offers in their order,
	// and both ends report the one that the server chose.
	AgreesUponProtocol Promise = "AgreesUponProtocol"

	// AgreesUponNone: if nothing was offered or chosen, both ends report "".
	AgreesUponNone Promise = "AgreesUponNone"

	// CarriesRequest: the URL's path and query and the header arrive, and
	// Dial does not change what it was given.
	CarriesRequest Promise = "CarriesRequest"

	// IgnoresOthers: Offer reports false for a request that does not ask for
	// a connection.
	IgnoresOthers Promise = "IgnoresOthers"

	// ServesMany: one value makes several connections at the same time.
	ServesMany Promise = "ServesMany"

	// HasAddresses: both ends have both addresses.
	HasAddresses Promise = "HasAddresses"

	// OutlivesRequest: the connection goes on when the handler has returned
	// and Dial's context is cancelled.
	OutlivesRequest Promise = "OutlivesRequest"
)

// How connections are not made.
const (
	// ReportsRejection: an answer that is no connection becomes a
	// RejectedError with its status, its header and the first KiB of its body.
	ReportsRejection Promise = "ReportsRejection"

	// ReportsUnreachable: Dial fails if nothing listens, and not with a
	// RejectedError.
	ReportsUnreachable Promise = "ReportsUnreachable"

	// ReportsScheme: the error for an unknown scheme matches ErrScheme.
	ReportsScheme Promise = "ReportsScheme"

	// DialEndsWithContext: Dial returns when its context ends, with an error
	// that matches the context's, although the server does not answer.
	DialEndsWithContext Promise = "DialEndsWithContext"

	// UpgradeFails: Upgrade on a ResponseWriter without a connection answers
	// with an error status and returns an error.
	UpgradeFails Promise = "UpgradeFails"
)

// What connections do.
const (
	// CarriesBytes: bytes arrive in order, in both directions at once.
	CarriesBytes Promise = "CarriesBytes"

	// KeepsMessages: what was written as a message arrives as one, of which Read
	// reads no more; an oversized one is an error. For a MessageConn only.
	KeepsMessages Promise = "KeepsMessages"

	// WritesNow: WriteNow waits for nothing and retains nothing, and what it has kept
	// leaves before all else. For a PromptWriter only.
	WritesNow Promise = "WritesNow"

	// ReadsNow: ReadNow waits for nothing, gives what Read would give, and no more than
	// the message has. For a PromptReader only.
	ReadsNow Promise = "ReadsNow"

	// EndsOneDirection: after CloseWrite the peer reads the rest and then
	// io.EOF, and the other direction goes on. For a CloseWriter only.
	EndsOneDirection Promise = "EndsOneDirection"

	// DeliversBeforeClose: what was written before CloseWrite arrives even if
	// Close follows at once. For a CloseWriter only.
	DeliversBeforeClose Promise = "DeliversBeforeClose"

	// CutIsNoEOF: when the network ends a connection, in the orderly manner
	// of TCP even, Read fails with another error than io.EOF. Not tested for a
	// Listener.
	CutIsNoEOF Promise = "CutIsNoEOF"

	// CloseEndsPeer: after Close the peer's Read ends, and its Write fails
	// sooner or later.
	CloseEndsPeer Promise = "CloseEndsPeer"

	// CloseWakesRead: Close ends a blocked Read with net.ErrClosed.
	CloseWakesRead Promise = "CloseWakesRead"

	// CloseWakesWrite: Close returns at once and ends a blocked Write with
	// net.ErrClosed, although the peer reads nothing.
	CloseWakesWrite Promise = "CloseWakesWrite"

	// CloseIsFinal: Close may be repeated, and what is called after it fails
	// with net.ErrClosed.
	CloseIsFinal Promise = "CloseIsFinal"

	// EndpointCloses: Close of an endpoint ends Serve with net.ErrClosed, and
	// leaves connections alone. For a Listener only.
	EndpointCloses Promise = "EndpointCloses"
)

// What streams do. All are for a StreamCarrier only.
const (
	// StreamsAnnounced: AcceptStream returns although nothing was written, the
	// acceptor may speak first, and both ends know the stream by the same ID.
	// A client that makes no use of the connection's own bytes has streams.
	StreamsAnnounced Promise = "StreamsAnnounced"

	// StreamsCarryBytes: many streams carry bytes both ways at once, and each
	// direction ends by itself.
	StreamsCarryBytes Promise = "StreamsCarryBytes"

	// StreamsCancel: CancelRead reaches the peer's Write and CancelWrite its
	// Read, with the code, and no other direction.
	StreamsCancel Promise = "StreamsCancel"

	// StreamsHaveDeadlines: a deadline ends a blocked Read and a blocked Write.
	StreamsHaveDeadlines Promise = "StreamsHaveDeadlines"

	// StreamsEnd: Close ends everything on its end with net.ErrClosed, and on
	// the peer's with neither that nor io.EOF.
	StreamsEnd Promise = "StreamsEnd"

	// StreamsEndWithContext: OpenStream and AcceptStream end with their
	// context, and the connection goes on.
	StreamsEndWithContext Promise = "StreamsEndWithContext"

	// StreamsBesideBytes: the connection's own bytes go both ways beside its
	// streams, and AcceptStream does not return the stream that they are on.
	StreamsBesideBytes Promise = "StreamsBesideBytes"
)

// contract is every promise, in the order in which they are tested.
var contract = []struct {
	name Promise
	test func(*testing.T, Target)
}{
	{AgreesUponProtocol, agreesUponProtocol},
	{AgreesUponNone, agreesUponNone},
	{CarriesRequest, carriesRequest},
	{IgnoresOthers, ignoresOthers},
	{ServesMany, servesMany},
	{HasAddresses, hasAddresses},
	{OutlivesRequest, outlivesRequest},
	{ReportsRejection, reportsRejection},
	{ReportsUnreachable, reportsUnreachable},
	{ReportsScheme, reportsScheme},
	{DialEndsWithContext, dialEndsWithContext},
	{UpgradeFails, upgradeFails},
	{CarriesBytes, carriesBytes},
	{KeepsMessages, keepsMessages},
	{WritesNow, writesNow},
	{ReadsNow, readsNow},
	{EndsOneDirection, endsOneDirection},
	{DeliversBeforeClose, deliversBeforeClose},
	{CutIsNoEOF, cutIsNoEOF},
	{CloseEndsPeer, closeEndsPeer},
	{CloseWakesRead, closeWakesRead},
	{CloseWakesWrite, closeWakesWrite},
	{CloseIsFinal, closeIsFinal},
	{EndpointCloses, endpointCloses},
	{StreamsAnnounced, streamsAnnounced},
	{StreamsCarryBytes, streamsCarryBytes},
	{StreamsCancel, streamsCancel},
	{StreamsHaveDeadlines, streamsHaveDeadlines},
	{StreamsEnd, streamsEnd},
	{StreamsEndWithContext, streamsEndWithContext},
	{StreamsBesideBytes, streamsBesideBytes},
}
