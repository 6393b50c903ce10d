package qmux

// A version holds what differs between versions of the protocol. Drafts differ in nothing
// else, so only the session has a version.
type version struct {
	// protocol is the token for the negotiation. Its prefix names the draft, as other
	// implementations expect of a WebSocket subprotocol.
	protocol string

	// parameters is the type of the frame that begins a session. It identifies the
	// version.
	parameters frameType

	// zeroFinalSize says that some peers always send RESET_STREAM with the final size 0,
	// whatever they have sent.
	zeroFinalSize bool
}

// draft02 is https://datatracker.ietf.org/doc/html/draft-ietf-quic-qmux-02.
var draft02 = &version{
	protocol:      "qmux-02.backdial.1",
	parameters:    0x3f5153300d0a0d0a, // "\xffQS0\r\n\r\n" on the wire
	zeroFinalSize: true,
}
