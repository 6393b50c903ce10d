// Package xtacismux makes [xtaci/smux] itself, in its protocol version 2, a multiplexer.
// Package smuxmux speaks the same protocol with its own engine, under the same name in
// negotiations, so each end may use either.
//
// The library does the framing, the windows and the buffers. Package muxlib adds what it
// lacks. Pings, messages and resets, which the library does not know, travel between its
// frames.
//
// Use it if you trust code that is widely used, or have found a bug in ours. Otherwise
// use package smuxmux, which opens a stream in a fifth of the time, and promises more. An
// idle session of this package takes twelve times the memory.
//
// It breaks these promises of package mux:
//
//   - OpenIsImmediate: Open returns only when the connection has taken the frame that
//     opens the stream. If it takes nothing, Open ends with its context.
//   - SteadyReaders/abandoned: the library never resets a stream to free memory for
//     others. It has memory for all of them.
//   - SteadyReaders/memory: each stream may hold a Window. The library's limit for all
//     streams is not used, because a session that reaches it stops. Slow readers hold 90
//     MiB, where 24 MiB are allowed.
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
// [xtaci/smux]: https://github.com/xtaci/smux
package xtacismux
