// Package interop tests servers of this library against foreign clients. The server dials
// them, as it does any client. One is the npm package @moq/qmux as published, in Node and in a
// browser; testdata/client.js says what it does with the streams. The other is
// testdata/client.py, a program in Python that was written from docs/protocol.md alone and
// speaks yamux. If that page is not enough for a change to the program, mend the page.
//
// In Chromium the package uses the browser's WebSocketStream, elsewhere a WebSocket.
// Chromium 156 sometimes crashes a page whose WebSocketStream is cut, so cuts are tested
// with a WebSocket.
//
// Tests are skipped without Node, without the packages (npm ci in testdata), without
// Chromium or without python3, unless BACKDIAL_REQUIRE_NODE, BACKDIAL_REQUIRE_CHROMIUM or
// BACKDIAL_REQUIRE_PYTHON is 1.
package interop
