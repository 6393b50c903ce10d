package fleet

import "github.com/backdial/backdial/internal/setting"

// An Option configures a [Fleet].
type Option func(*Fleet)

// WithDuplicates sets what happens when a client connects with the ID of another session. The
// default is [ReplaceOlder].
func WithDuplicates(policy Duplicates) Option {
	return func(f *Fleet) { f.duplicates = policy }
}

// defaultSessionsPerClient is far more than a client needs to share its load.
const defaultSessionsPerClient = 64

// WithSessionsPerClient limits the sessions that a client may have at a time with [KeepAll],
// so that a single client cannot take all that the server allows. More are refused with status
// 409. Sessions that were asked to move do not count. 0 means the default, which is 64; negative
// means no limit.
func WithSessionsPerClient(n int) Option {
	return func(f *Fleet) { f.mostSessions = setting.Limit(n, defaultSessionsPerClient) }
}

// WithWaitForClient makes a Dial of a client that is not connected wait until it is, for as
// long as the context of the Dial allows, instead of failing at once. A request by a
// [Transport] waits too, for 30 s at most if its context has no deadline, and one by a
// [ReverseProxy], for a minute at most. A fleet does not know that its server shuts down: a
// Dial there waits in the same way, for a client that connects elsewhere.
func WithWaitForClient() Option {
	return func(f *Fleet) { f.waits = true }
}
