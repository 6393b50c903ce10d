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

	// CarriesRequest: the URL's host, path and query and the header arrive, the
	// handler's request has the RemoteAddr of the connection, and TLS if there is
	// any, and Dial does not change what it was given.
	CarriesRequest Promise = "CarriesRequest"

	// VerifiesServer: Dial fails with a *tls.CertificateVerificationError, before the
	// request is sent, if the server's certificate is of an authority that the
	// request's TLS settings do not trust, of another name, or not for servers. The
	// settings' ServerName and VerifyConnection count. With TLS only.
	VerifiesServer Promise = "VerifiesServer"

	// PresentsCertificate: the client's certificate reaches a server that requires
	// one, whose request has it, and without it Dial fails. With TLS only.
	PresentsCertificate Promise = "PresentsCertificate"

	// IgnoresOthers: Offer reports false for a request that does not ask for
	// a connection.
	IgnoresOthers Promise = "IgnoresOthers"

	// ServesMany: one value makes several connections at the same time.
	ServesMany Promise = "ServesMany"

	// HasAddresses: both ends have both addresses, and what is local to one is
	// remote to the other.
	HasAddresses Promise = "HasAddresses"

	// OutlivesRequest: the connection goes on when the handler has returned
	// and Dial's context is cancelled.
	OutlivesRequest Promise = "OutlivesRequest"

	// AnswersBeforeClose: Dial returns the connection although the server closes
	// it right after Upgrade.
	AnswersBeforeClose Promise = "AnswersBeforeClose"
)

// How connections are not made.
const (
	// ReportsRejection: an answer that is no connection becomes a
	// RejectedError with its status, its header and the first KiB of its body,
	// for whose end Dial does not wait. The client's socket is closed.
	ReportsRejection Promise = "ReportsRejection"

	// ReportsUnreachable: Dial fails if nothing listens, and not with a
	// RejectedError.
	ReportsUnreachable Promise = "ReportsUnreachable"

	// ReportsScheme: the error for an unknown scheme matches ErrScheme.
	ReportsScheme Promise = "ReportsScheme"

	// DialEndsWithContext: Dial returns when its context ends, with an error
	// that matches the context's, although the server does not answer, or does
	// not say anything at all. The client's socket is closed.
	DialEndsWithContext Promise = "DialEndsWithContext"

	// BoundsHandshakes: a Dial without a deadline gives up a server that is silent,
	// says a byte now and then, or does not come to an end, within 30 s and 16 MiB.
	// So does a Listener's endpoint with clients, and others need not wait for them.
	// Tested on TCP, and a silent server on UDP.
	BoundsHandshakes Promise = "BoundsHandshakes"

	// UpgradeFails: Upgrade on a ResponseWriter without a connection answers
	// with an error status and returns an error.
	UpgradeFails Promise = "UpgradeFails"
)

// What connections do.
const (
	// CarriesBytes: bytes arrive in order, in both directions at once, though the
	// caller overwrites what Write has returned for. A Read or Write of no bytes
	// returns at once, and changes nothing.
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
	// of TCP even, Read fails with another error than io.EOF. Tested on TCP.
	CutIsNoEOF Promise = "CutIsNoEOF"

	// CloseEndsPeer: after Close the peer's Read ends, and its Write fails
	// sooner or later.
	CloseEndsPeer Promise = "CloseEndsPeer"

	// CloseWakesRead: Close ends a blocked Read with net.ErrClosed.
	CloseWakesRead Promise = "CloseWakesRead"

	// CloseWakesWrite: Close returns at once and ends a blocked Write with
	// net.ErrClosed, although the peer reads nothing.
	CloseWakesWrite Promise = "CloseWakesWrite"

	// CloseIsPrompt: Close returns at once, after CloseWrite too.
	CloseIsPrompt Promise = "CloseIsPrompt"

	// CloseIsFinal: Close may be repeated, and what is called after it fails
	// with net.ErrClosed.
	CloseIsFinal Promise = "CloseIsFinal"

	// EndpointCloses: Close of an endpoint ends Serve with net.ErrClosed, the
	// handshakes that are under way, and the Dials that wait for a handler. It
	// leaves connections alone. Without any, the address is free soon. For a
	// Listener only.
	EndpointCloses Promise = "EndpointCloses"

	// SurvivesPanic: a handler that panics loses its client, and nothing else.
	SurvivesPanic Promise = "SurvivesPanic"
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

	// StreamsTell: a Read into no bytes waits for nothing, and tells of a CancelWrite to
	// an end that has not read what was written before.
	StreamsTell Promise = "StreamsTell"

	// StreamsHaveDeadlines: a deadline ends a blocked Read and a blocked Write, not
	// before it comes and within 100 ms after it.
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
	{VerifiesServer, verifiesServer},
	{PresentsCertificate, presentsCertificate},
	{IgnoresOthers, ignoresOthers},
	{ServesMany, servesMany},
	{HasAddresses, hasAddresses},
	{OutlivesRequest, outlivesRequest},
	{AnswersBeforeClose, answersBeforeClose},
	{ReportsRejection, reportsRejection},
	{ReportsUnreachable, reportsUnreachable},
	{ReportsScheme, reportsScheme},
	{DialEndsWithContext, dialEndsWithContext},
	{BoundsHandshakes, boundsHandshakes},
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
	{CloseIsPrompt, closeIsPrompt},
	{CloseIsFinal, closeIsFinal},
	{EndpointCloses, endpointCloses},
	{SurvivesPanic, survivesPanic},
	{StreamsAnnounced, streamsAnnounced},
	{StreamsCarryBytes, streamsCarryBytes},
	{StreamsCancel, streamsCancel},
	{StreamsTell, streamsTell},
	{StreamsHaveDeadlines, streamsHaveDeadlines},
	{StreamsEnd, streamsEnd},
	{StreamsEndWithContext, streamsEndWithContext},
	{StreamsBesideBytes, streamsBesideBytes},
}
