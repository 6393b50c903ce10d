// Package muxlib makes a [mux.Muxer] of a multiplexing library, which opens and accepts
// streams on a connection. A [Library] says how. The package adds what libraries lack of the
// contract of package mux, so that an adapter has about 150 lines at most:
//
//   - Open, Accept and Ping end with their contexts, and a backlog is accepted from the
//     library at once, up to the limits of [mux.Config]. What exceeds them is refused.
//   - Deadlines of Read and Write may move while these block, and Write leaves nothing
//     half written.
//   - Shutdown waits for the streams in use, and Close until what was written has left.
//   - The session pings, notices a peer that is silent, and counts its streams.
//   - Errors match those of package mux, net and os, and a lost session is not the end of
//     a stream.
//
// The least that an adapter needs is Start, and a [Session] of three methods. What the
// library can do besides, it shows with the optional interfaces. What its protocol can say,
// and the library cannot, such as messages, an adapter hears and says with [Frames].
//
// Packages [github.com/backdial/backdial/mux/hashicorpyamux] and
// [github.com/backdial/backdial/mux/xtacismux] are adapters to start from. To begin, wrap
// the library as in the example, and run [github.com/backdial/backdial/mux/muxtest] on it:
// each promise that fails is one that the adapter adds, or declares as a deviation.
package muxlib
