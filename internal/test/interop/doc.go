// Package interop tests servers of this library against foreign clients: the npm package
// @moq/qmux as published, in Node and in a browser. The server dials them, as it does any
// client. testdata/client.js says what they do with the streams.
//
// In Chromium the package uses the browser's WebSocketStream, elsewhere a WebSocket.
// Chromium 156 sometimes crashes a page whose WebSocketStream is cut, so cuts are tested
// with a WebSocket.
//
// Tests are skipped without Node, without the packages (npm ci in testdata) or without
// Chromium, unless BACKDIAL_REQUIRE_NODE or BACKDIAL_REQUIRE_CHROMIUM is 1.
package interop
