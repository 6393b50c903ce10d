package clustertest

import "testing"

// A Promise is the name of one line of the contract, and of its subtest.
type Promise string

// How clients are found.
const (
	// FindsHolder: every replica locates a client, by the claim of its holder.
	FindsHolder Promise = "FindsHolder"

	// KnowsNobody: that nobody holds a client is said at once, with ErrNotConnected.
	KnowsNobody Promise = "KnowsNobody"

	// TakesAnyID: IDs are of any bytes, 1 to MaxID of them, and no two are the same.
	TakesAnyID Promise = "TakesAnyID"

	// RefusesIDs: others are refused by Locate and Watch.
	RefusesIDs Promise = "RefusesIDs"

	// AsksHolder: what a holder says is found, as it is then. One that says no is not
	// located.
	AsksHolder Promise = "AsksHolder"

	// SkipsExcepted: nodes whose Run is excepted are not located, and if there are no
	// others that is ErrMoved, at once.
	SkipsExcepted Promise = "SkipsExcepted"

	// AvoidsDoubtful: a Doubtful claim is located if there is no other.
	AvoidsDoubtful Promise = "AvoidsDoubtful"

	// ForgetsDetached: after Detach a client is not located.
	ForgetsDetached Promise = "ForgetsDetached"

	// ForgetsClosed: after Close no client of the node is located, and its holder is not
	// asked. Close may be repeated, and what is called after it does nothing.
	ForgetsClosed Promise = "ForgetsClosed"

	// EndsWithContext: Locate ends with its context, with ErrUnavailable and the
	// context's error.
	EndsWithContext Promise = "EndsWithContext"
)

// Who is told of what.
const (
	// TellsRival: a holder is told of one that has got the client after it.
	TellsRival Promise = "TellsRival"

	// TellsNotOneself: a holder is not told of itself, or of other clients, or of those
	// that it does not hold any more.
	TellsNotOneself Promise = "TellsNotOneself"

	// TellsRivalAgain: to attach once more tells holders and watchers once more.
	TellsRivalAgain Promise = "TellsRivalAgain"

	// WatchTells: who watches a client is told who has got it, and of no other client.
	WatchTells Promise = "WatchTells"

	// WatchKeepsLatest: a watcher that is slow misses others than the latest.
	WatchKeepsLatest Promise = "WatchKeepsLatest"
)

// What it costs.
const (
	// CarriesMany: thousands of clients cost no goroutine each, and their node can
	// withdraw them all.
	CarriesMany Promise = "CarriesMany"

	// ServesConcurrently: all methods may be called at a time.
	ServesConcurrently Promise = "ServesConcurrently"
)

// What happens without the engine. All but the last are for a Target with an Outage.
const (
	// SaysUnavailable: while the engine is away that is said at once, with
	// ErrUnavailable, and nothing else waits for it.
	SaysUnavailable Promise = "SaysUnavailable"

	// OutlivesOutage: what was announced before an outage is found after it.
	OutlivesOutage Promise = "OutlivesOutage"

	// CatchesUp: what was announced and withdrawn during an outage holds after it. Who
	// watches is told, and holders are told of rivals.
	CatchesUp Promise = "CatchesUp"

	// EndsFrozen: Locate ends with its context, or by itself, when the engine does not
	// answer, with ErrUnavailable. For a Target with Freeze.
	EndsFrozen Promise = "EndsFrozen"
)

// contract is every promise, in the order in which they are tested.
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
