// Package hashicorpyamux makes [hashicorp/yamux] itself a multiplexer. Package yamuxmux
// speaks the same protocol with its own engine, under the same name in negotiations, so
// each end may use either.
//
// The library does the framing, the windows and the buffers. Package muxlib adds what it
// lacks. Messages and resets, which the library does not know, travel between its frames.
//
// Use it if you trust code that has been audited and is widely used, or have found a bug
// in ours. Otherwise use package yamuxmux, which opens a stream in a fifth of the time,
// and promises more. An idle session of this package takes twice the memory.
//
// It breaks these promises of package mux:
//
//   - OpenIsImmediate: Open returns only when the connection has taken the frame that
//     opens the stream. If it takes nothing, Open ends with its context.
//   - StreamLimits/MaxStreams: the library counts a stream when it is accepted. With a
//     limit of 7, it refuses none of 10 streams before that.
//   - SteadyReaders/abandoned: the library never resets a stream to free memory for
//     others. It has memory for all of them.
//   - SteadyReaders/memory: the library limits the memory of each stream to a Window, but
//     not that of all streams. Slow readers hold 89 MiB, where 24 MiB are allowed.
//   - BoundedMemory: for the same reason. 16 streams that nobody reads hold 4.5 MiB,
//     where ReceiveBuffer is 1 MiB.
//   - CloseWakes/Session with a stuck carrier: Open waits for the connection, as above,
//     until Close wakes it.
//   - ResetWithCode: the protocol has no codes.
//   - WriteTo: streams do not implement [mux.WriterTo], so io.Copy allocates a buffer.
//   - Check: streams do not implement [mux.Checker]. Only Read reports that a stream was
//     reset.
//   - Distance/MaxWindow: windows do not grow. A stream carries one [mux.Config.Window]
//     per round trip: 12 MB/s at 20 ms by default.
//
// A peer that closes a stream while this end still writes to it resets it. The library then
// throws away what had arrived: Read fails with [mux.ErrReset], and the last of what the
// peer wrote may be lost.
//
// [hashicorp/yamux]: https://github.com/hashicorp/yamux
package hashicorpyamux
