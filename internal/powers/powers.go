// Package powers tells which optional interfaces of packages mux and carrier a stream or a
// connection implements, and gives a wrapper exactly those of what it wraps.
//
// By itself a wrapper gets that wrong in one of two ways. If it embeds an interface, it hides
// the optional methods, and callers that look for them lose a feature silently. If it has all
// of them, it promises what the wrapped value cannot do, and callers rely on that. So a
// wrapper asks for the powers of what it wraps, replaces those that it has to see, and returns
// the result of Wrap:
//
//	p := powers.OfStream(st)
//	if p.WriterTo != nil {
//		p.WriterTo = counted
//	}
//	return p.Wrap(counted)
//
// Only this package asserts these interfaces, apart from the suites that test them. A test in
// internal/test/architecture enforces that.
package powers

// bits returns a number whose binary digits are has, the first one leftmost.
func bits(has ...bool) (n int) {
	for _, b := range has {
		n <<= 1
		if b {
			n |= 1
		}
	}
	return n
}
