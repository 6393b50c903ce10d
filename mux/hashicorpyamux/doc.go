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
//   - OpenIsImmediate: Open waits until the connection has taken the frame that opens the
//     stream. While it takes nothing, Open ends with its context.
//   - StreamLimits/MaxStreams: streams are counted when they are accepted. Of 10 with a
//     limit of 7, none is refused before somebody accepts it.
//   - SteadyReaders/abandoned: no stream is reset for those beside it, as there is memory
//     for all.
//   - SteadyReaders/memory: the library knows no limit for all streams: each may hold a
//     Window. Slow readers hold 89 MiB where 24 are the most.
//   - BoundedMemory: the same. 16 streams that nobody reads hold 4.5 MiB where
//     ReceiveBuffer is 1 MiB.
//   - CloseWakes/Session with a stuck carrier: Open waits for the connection, as above.
//     Close wakes it.
//   - ResetWithCode: the protocol has no codes.
//   - WriteTo: streams are no [mux.WriterTo]: io.Copy has a buffer of its own.
//   - Check: streams are no [mux.Checker]: only Read tells that a stream was cut.
//   - Distance/MaxWindow: windows do not grow. A stream carries [mux.Config.Window] per
//     round trip: 12 MB/s at 20 ms with the default.
//
// A peer that closes a stream while this end still writes to it resets it. The library then
// throws away what had arrived: Read fails with [mux.ErrReset], and the last of what the
// peer wrote may be lost.
//
// [hashicorp/yamux]: https://github.com/hashicorp/yamux
package hashicorpyamux
