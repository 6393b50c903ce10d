package qmux

// A version is what one version of the protocol has that others have not. Drafts
// differ in no more than that, so a session has one and its code none.
type version struct {
	// protocol is the token of the negotiation. Its prefix names the draft, as
	// other implementations expect it of a WebSocket subprotocol.
	protocol string

	// parameters is the type of the frame that begins a session, and by which it
	// knows its kind.
	parameters frameType

	// zeroFinalSize says that there are peers whose RESET_STREAM always has the
	// final size 0, whatever they have sent.
	zeroFinalSize bool
}

// draft02 is https://datatracker.ietf.org/doc/html/draft-ietf-quic-qmux-02.
var draft02 = &version{
	protocol:      "qmux-02.backdial.1",
	parameters:    0x3f5153300d0a0d0a, // "\xffQS0\r\n\r\n" on the wire
	zeroFinalSize: true,
}
