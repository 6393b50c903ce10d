// Package interop tests servers of this library against clients that are not of it:
// the npm package @moq/qmux as it is published, in Node and in a browser. The server
// dials them, as it does any client; what they do with the streams is in
// testdata/client.js.
//
// In Chromium the package uses the browser's WebSocketStream, elsewhere a WebSocket. A
// page of Chromium 156 crashes now and then when a WebSocketStream is cut, so that is
// tested with a WebSocket.
//
// A test is skipped without Node, without the packages (npm ci in testdata) or without
// Chromium, unless BACKDIAL_REQUIRE_NODE or BACKDIAL_REQUIRE_CHROMIUM is 1.
package interop
