package carriertest

import "testing"

// A Promise is the name of a line of the contract, and of the subtest for it.
type Promise string

// How connections are made.
const (
	// AgreesUponProtocol: the server sees the client's offers in order, and both ends
	// report the one that the server chose.
	AgreesUponProtocol Promise = "AgreesUponProtocol"

	// AgreesUponNone: if nothing was offered or chosen, both ends report "".
	AgreesUponNone Promise = "AgreesUponNone"

	// CarriesRequest: the URL's host, path and query and the header arrive. The handler's
	// request has the RemoteAddr of the connection, and TLS if there is any. Dial does not
	// change its argument.
	CarriesRequest Promise = "CarriesRequest"

	// CarriesAnswer: the answer has the header that the ResponseWriter has when the server
	// calls Upgrade, and Dial calls the request's Answered with it before it returns.
	CarriesAnswer Promise = "CarriesAnswer"

	// VerifiesServer: Dial fails with a *tls.CertificateVerificationError, before it sends
	// the request, if the server's certificate is from an authority that the request's TLS
	// settings do not trust, for another name, or not for servers. The settings'
	// ServerName and VerifyConnection apply. With TLS only.
	VerifiesServer Promise = "VerifiesServer"

	// PresentsCertificate: the client's certificate reaches a server that requires one,
	// and is in the request. Without it Dial fails. With TLS only.
	PresentsCertificate Promise = "PresentsCertificate"

	// IgnoresOthers: Offer returns false for a request that does not ask for a connection.
	IgnoresOthers Promise = "IgnoresOthers"

	// ServesMany: one value makes several connections at the same time.
	ServesMany Promise = "ServesMany"

	// HasAddresses: both ends have both addresses, and one's local address is the other's
	// remote address.
	HasAddresses Promise = "HasAddresses"

	// OutlivesRequest: the connection goes on after the handler has returned and Dial's
	// context is cancelled.
	OutlivesRequest Promise = "OutlivesRequest"

	// AnswersBeforeClose: Dial returns the connection even if the server closes it right
	// after Upgrade.
	AnswersBeforeClose Promise = "AnswersBeforeClose"
)

// How connections are not made.
const (
	// ReportsRejection: an answer without a connection becomes a RejectedError with its
	// status, its header and the first KiB of its body. Dial does not wait for the body's
	// end. The client's socket is closed.
	ReportsRejection Promise = "ReportsRejection"

	// ReportsUnreachable: Dial fails if nothing listens, and not with a RejectedError.
	ReportsUnreachable Promise = "ReportsUnreachable"

	// ReportsScheme: the error for an unknown scheme matches ErrScheme.
	ReportsScheme Promise = "ReportsScheme"

	// DialEndsWithContext: Dial returns when its context ends, with an error that matches
	// the context's, even if the server does not answer, or sends nothing at all. The
	// client's socket is closed.
	DialEndsWithContext Promise = "DialEndsWithContext"

	// BoundsHandshakes: a Dial without a deadline gives up a server that is silent,
	// trickles bytes, or never finishes its answer, within 30 s and 16 MiB. A Listener's
	// endpoint does the same with clients, and other clients need not wait for them.
	// Tested on TCP, and with a silent server on UDP.
	BoundsHandshakes Promise = "BoundsHandshakes"

	// UpgradeFails: Upgrade on a ResponseWriter without a connection answers
	// with an error status and returns an error.
	UpgradeFails Promise = "UpgradeFails"
)

// What connections do.
const (
	// CarriesBytes: bytes arrive in order, in both directions at once, even if the caller
	// overwrites them after Write. A Read or Write of no bytes returns at once, and
	// changes nothing.
	CarriesBytes Promise = "CarriesBytes"

	// KeepsMessages: a message arrives as one message, and Read does not read beyond it.
	// An oversized one is an error. For a MessageConn only.
	KeepsMessages Promise = "KeepsMessages"

	// WritesNow: WriteNow does not wait, does not keep its argument, and what it has kept
	// is sent before anything else. For a PromptWriter only.
	WritesNow Promise = "WritesNow"

	// ReadsNow: ReadNow does not wait, returns what Read would return, and does not read
	// beyond the message. For a PromptReader only.
	ReadsNow Promise = "ReadsNow"

	// Arrives: Arrive reports a small message that has arrived, and takes nothing.
	// Interrupt and Close end it; an Interrupt ends nothing else. For a PromptReader
	// with messages only.
	Arrives Promise = "Arrives"

	// EndsOneDirection: after CloseWrite the peer reads the rest and then io.EOF, and the
	// other direction goes on. For a CloseWriter only.
	EndsOneDirection Promise = "EndsOneDirection"

	// DeliversBeforeClose: what was written before CloseWrite arrives even if Close
	// follows at once. For a CloseWriter only.
	DeliversBeforeClose Promise = "DeliversBeforeClose"

	// CutIsNoEOF: if the network ends a connection, even in TCP's orderly manner, Read
	// fails with an error that is not io.EOF. Tested on TCP.
	CutIsNoEOF Promise = "CutIsNoEOF"

	// CloseEndsPeer: after Close the peer's Read ends, and its Write fails sooner or
	// later.
	CloseEndsPeer Promise = "CloseEndsPeer"

	// CloseWakesRead: Close ends a blocked Read with net.ErrClosed.
	CloseWakesRead Promise = "CloseWakesRead"

	// CloseWakesWrite: Close returns at once and ends a blocked Write with net.ErrClosed,
	// even if the peer reads nothing.
	CloseWakesWrite Promise = "CloseWakesWrite"

	// CloseIsPrompt: Close returns at once, even after CloseWrite.
	CloseIsPrompt Promise = "CloseIsPrompt"

	// CloseIsFinal: Close may be repeated, and later calls fail with net.ErrClosed.
	CloseIsFinal Promise = "CloseIsFinal"

	// EndpointCloses: Close of an endpoint ends Serve with net.ErrClosed, and ends
	// handshakes under way and Dials that wait for a handler. It does not affect
	// connections. Once there are none, the address is free soon. For a Listener only.
	EndpointCloses Promise = "EndpointCloses"

	// SurvivesPanic: a handler that panics loses its client, and nothing else.
	SurvivesPanic Promise = "SurvivesPanic"
)

// What streams do. All are for a StreamCarrier only.
const (
	// StreamsAnnounced: AcceptStream returns even if nothing is written, the accepting end
	// may speak first, and both ends see the same ID. A client that does not use the
	// connection's own bytes can use streams.
	StreamsAnnounced Promise = "StreamsAnnounced"

	// StreamsCarryBytes: many streams carry bytes both ways at once, and each direction
	// ends by itself.
	StreamsCarryBytes Promise = "StreamsCarryBytes"

	// StreamsCancel: CancelRead reaches the peer's Write, and CancelWrite its Read, with
	// the code. Other directions go on.
	StreamsCancel Promise = "StreamsCancel"

	// StreamsTell: a Read into no bytes does not wait, and reports a CancelWrite even if
	// earlier bytes have not been read.
	StreamsTell Promise = "StreamsTell"

	// StreamsHaveDeadlines: a deadline ends a blocked Read and a blocked Write, not early
	// and at most 100 ms late.
	StreamsHaveDeadlines Promise = "StreamsHaveDeadlines"

	// StreamsEnd: Close ends every call of its end with net.ErrClosed, and those of the
	// peer with neither that nor io.EOF.
	StreamsEnd Promise = "StreamsEnd"

	// StreamsEndWithContext: OpenStream and AcceptStream end with their context, and the
	// connection goes on.
	StreamsEndWithContext Promise = "StreamsEndWithContext"

	// StreamsBesideBytes: the connection's own bytes go both ways beside its streams, and
	// AcceptStream does not return their stream.
	StreamsBesideBytes Promise = "StreamsBesideBytes"
)

// contract lists every promise, in the order of the tests.
var contract = []struct {
	name Promise
	test func(*testing.T, Target)
}{
	{AgreesUponProtocol, agreesUponProtocol},
	{AgreesUponNone, agreesUponNone},
	{CarriesRequest, carriesRequest},
	{CarriesAnswer, carriesAnswer},
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
	{Arrives, arrives},
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
