// Package muxlib makes a [mux.Muxer] from a multiplexing library, which opens and accepts
// streams on a connection. A [Library] describes it. The package adds what libraries lack
// of the contract of package mux, so an adapter needs at most about 150 lines:
//
//   - Open, Accept and Ping end with their contexts. Streams are accepted from the
//     library at once, up to the limits of [mux.Config], and more are refused.
//   - Deadlines may move while a Read or Write blocks, and Write never leaves part of a
//     frame.
//   - Shutdown waits for the streams in use, and Close until what was written has left.
//   - The session pings, notices a peer that is silent, and counts its streams.
//   - Errors match those of package mux, net and os, and a lost session does not look
//     like the end of a stream.
//
// An adapter needs at least Start, and a [Session] with three methods. It offers what
// else the library can do with the optional interfaces. With [Frames] it sends and
// receives what the protocol can say and the library cannot, such as messages.
//
// Packages [github.com/backdial/backdial/mux/hashicorpyamux] and
// [github.com/backdial/backdial/mux/xtacismux] are adapters to start from. Wrap the
// library as in the example, and run [github.com/backdial/backdial/mux/muxtest] on it:
// for each promise that fails, the adapter adds what is missing, or declares a deviation.
package muxlib
