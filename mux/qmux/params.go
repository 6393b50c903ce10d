package qmux

import "slices"

// A paramID names a transport parameter.
type paramID uint64

// The transport parameters that this package uses (RFC 9000, section 18.2, and section 6
// of the draft).
const (
	paramMaxIdleTimeout                 paramID = 0x01
	paramInitialMaxData                 paramID = 0x04
	paramInitialMaxStreamDataBidiLocal  paramID = 0x05
	paramInitialMaxStreamDataBidiRemote paramID = 0x06
	paramInitialMaxStreamDataUni        paramID = 0x07
	paramInitialMaxStreamsBidi          paramID = 0x08
	paramInitialMaxStreamsUni           paramID = 0x09
	paramMaxRecordSize                  paramID = 0x0571c59429cd0845
	paramBacklog                        paramID = 0x1bacd1a1 // of the extension
)

// prohibited reports whether id is a parameter of QUIC that QMux prohibits.
func (id paramID) prohibited() bool {
	return id == 0x00 || id == 0x02 || id == 0x03 || 0x0a <= id && id <= 0x10
}

// minRecordSize is the smallest maximum record size of a peer, and the largest record
// that may be sent before the peer's parameters are known.
const minRecordSize = 16382

// parameters are the settings that an end declares when a session begins.
type parameters struct {
	maxIdleTimeout                 uint64 // in milliseconds; 0 for none
	initialMaxData                 uint64
	initialMaxStreamDataBidiLocal  uint64 // for streams that the declarer opens
	initialMaxStreamDataBidiRemote uint64 // for streams that its peer opens
	initialMaxStreamDataUni        uint64
	initialMaxStreamsBidi          uint64
	initialMaxStreamsUni           uint64
	maxRecordSize                  uint64

	// backlog is how many streams the declarer opens before it waits for one to be
	// accepted. 0 means that it does not know the extension.
	backlog uint64
}

// A param is one of the parameters. All are numbers.
type param struct {
	id       paramID
	value    *uint64
	absent   uint64 // the value if the parameter is absent
	min, max uint64
}

func (p *parameters) all() [9]param {
	return [...]param{
		{paramMaxIdleTimeout, &p.maxIdleTimeout, 0, 0, maxVarint},
		{paramInitialMaxData, &p.initialMaxData, 0, 0, maxVarint},
		{paramInitialMaxStreamDataBidiLocal, &p.initialMaxStreamDataBidiLocal, 0, 0, maxVarint},
		{paramInitialMaxStreamDataBidiRemote, &p.initialMaxStreamDataBidiRemote, 0, 0, maxVarint},
		{paramInitialMaxStreamDataUni, &p.initialMaxStreamDataUni, 0, 0, maxVarint},
		{paramInitialMaxStreamsBidi, &p.initialMaxStreamsBidi, 0, 0, maxStreamCount},
		{paramInitialMaxStreamsUni, &p.initialMaxStreamsUni, 0, 0, maxStreamCount},
		{paramMaxRecordSize, &p.maxRecordSize, minRecordSize, minRecordSize, maxVarint},
		{paramBacklog, &p.backlog, 0, 1, maxVarint},
	}
}

// append appends the parameters whose value differs from that of an absent one.
func (p *parameters) append(b []byte) []byte {
	b = slices.Grow(b, 64) // more than those of this package take
	for _, param := range p.all() {
		if v := *param.value; v != param.absent {
			b = appendVarint(b, uint64(param.id))
			b = appendVarint(b, uint64(varintLen(v)))
			b = appendVarint(b, v)
		}
	}
	return b
}

// parseParameters parses the payload of a QX_TRANSPORT_PARAMETERS frame.
func (v *version) parseParameters(b []byte) (*parameters, error) {
	p := new(parameters)
	known := p.all()
	for _, param := range known {
		*param.value = param.absent
	}
	var seen [len(known)]bool
	for r := (parser{rest: b}); len(r.rest) > 0; {
		id, length := paramID(r.varint()), r.varint()
		if r.short || length > uint64(len(r.rest)) {
			return nil, violation(transportParameterError, v.parameters, "a parameter is cut short")
		}
		value := r.rest[:length]
		r.rest = r.rest[length:]
		if id.prohibited() {
			return nil, violation(transportParameterError, v.parameters, "parameter %#x is prohibited", uint64(id))
		}
		i := slices.IndexFunc(known[:], func(p param) bool { return p.id == id })
		if i < 0 {
			continue // of another extension, or grease
		}
		if seen[i] {
			return nil, violation(transportParameterError, v.parameters, "parameter %#x comes twice", uint64(id))
		}
		seen[i] = true
		number, n := consumeVarint(value)
		if n == 0 || n != len(value) {
			return nil, violation(transportParameterError, v.parameters, "parameter %#x of %d bytes is not an integer", uint64(id), len(value))
		}
		if number < known[i].min || number > known[i].max {
			return nil, violation(transportParameterError, v.parameters, "parameter %#x is %d, want %d to %d", uint64(id), number, known[i].min, known[i].max)
		}
		*known[i].value = number
	}
	return p, nil
}
