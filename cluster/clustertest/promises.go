package clustertest

import "testing"

// A Promise is the name of one line of the contract, and of its subtest.
type Promise string

// How clients are found.
const (
	// FindsHolder: every replica locates a client, by the claim of its holder.
	FindsHolder Promise = "FindsHolder"

	// KnowsNobody: if nobody holds a client, Locate says so at once, with ErrNotConnected.
	KnowsNobody Promise = "KnowsNobody"

	// TakesAnyID: IDs are what fleet.CheckID accepts, and no two are the same.
	TakesAnyID Promise = "TakesAnyID"

	// RefusesIDs: Locate and Watch refuse other IDs.
	RefusesIDs Promise = "RefusesIDs"

	// AsksHolder: Locate finds what a holder says at that time. It does not find a holder that
	// says no.
	AsksHolder Promise = "AsksHolder"

	// SkipsExcepted: Locate skips nodes whose Run is excepted. If there are no others, it
	// returns ErrMoved at once.
	SkipsExcepted Promise = "SkipsExcepted"

	// AvoidsDoubtful: Locate returns a Doubtful claim only if there is no other.
	AvoidsDoubtful Promise = "AvoidsDoubtful"

	// ForgetsDetached: after Detach, Locate does not find the client.
	ForgetsDetached Promise = "ForgetsDetached"

	// ForgetsClosed: after Close, Locate finds no client of the node, and does not ask its
	// holder. Close may be repeated, and later calls do nothing.
	ForgetsClosed Promise = "ForgetsClosed"

	// EndsWithContext: Locate ends with its context, with ErrUnavailable and the context's
	// error.
	EndsWithContext Promise = "EndsWithContext"
)

// What holders and watchers hear.
const (
	// TellsRival: a holder hears of another that has got the client after it.
	TellsRival Promise = "TellsRival"

	// TellsNotOneself: a holder does not hear of itself, of other clients, or of clients that
	// it no longer holds.
	TellsNotOneself Promise = "TellsNotOneself"

	// TellsRivalAgain: attaching once more tells holders and watchers once more.
	TellsRivalAgain Promise = "TellsRivalAgain"

	// WatchTells: a watcher of a client hears which node has got it, and of no other client.
	WatchTells Promise = "WatchTells"

	// WatchKeepsLatest: a slow watcher may miss claims, but not the latest.
	WatchKeepsLatest Promise = "WatchKeepsLatest"
)

// What it costs.
const (
	// CarriesMany: thousands of clients need no goroutine each, and their node can withdraw
	// them all.
	CarriesMany Promise = "CarriesMany"

	// ServesConcurrently: all methods may be called concurrently.
	ServesConcurrently Promise = "ServesConcurrently"
)

// What happens without the engine. All except the last are for a Target with an Outage.
const (
	// SaysUnavailable: while the engine is away, Locate says so at once, with ErrUnavailable,
	// and nothing else waits for the engine.
	SaysUnavailable Promise = "SaysUnavailable"

	// OutlivesOutage: what was announced before an outage is found after it.
	OutlivesOutage Promise = "OutlivesOutage"

	// CatchesUp: what was announced and withdrawn during an outage holds after it. Watchers
	// hear of it, and holders hear of rivals.
	CatchesUp Promise = "CatchesUp"

	// EndsFrozen: if the engine does not answer, Locate ends with its context, or by itself,
	// with ErrUnavailable. For a Target with Freeze.
	EndsFrozen Promise = "EndsFrozen"
)

// contract is every promise, in the order of the tests.
var contract = []struct {
	name Promise
	test func(*testing.T, Target)
}{
	{FindsHolder, findsHolder},
	{KnowsNobody, knowsNobody},
	{TakesAnyID, takesAnyID},
	{RefusesIDs, refusesIDs},
	{AsksHolder, asksHolder},
	{SkipsExcepted, skipsExcepted},
	{AvoidsDoubtful, avoidsDoubtful},
	{ForgetsDetached, forgetsDetached},
	{ForgetsClosed, forgetsClosed},
	{EndsWithContext, endsWithContext},
	{TellsRival, tellsRival},
	{TellsNotOneself, tellsNotOneself},
	{TellsRivalAgain, tellsRivalAgain},
	{WatchTells, watchTells},
	{WatchKeepsLatest, watchKeepsLatest},
	{CarriesMany, carriesMany},
	{ServesConcurrently, servesConcurrently},
	{SaysUnavailable, saysUnavailable},
	{OutlivesOutage, outlivesOutage},
	{CatchesUp, catchesUp},
	{EndsFrozen, endsFrozen},
}
