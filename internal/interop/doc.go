// Package interop tests servers of this library against clients that are not of it:
// the npm package @moq/qmux as it is published, in Node and in a browser. The server
// dials them, as it does any client; what they do with the streams is in
// testdata/client.js.
//
// A test is skipped without Node, without the packages (npm ci in testdata) or without
// Chromium, unless BACKDIAL_REQUIRE_NODE or BACKDIAL_REQUIRE_CHROMIUM is 1.
package interop
