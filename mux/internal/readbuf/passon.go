package readbuf

import "io"

// PassOn is WriteTo for a stream with a [Buffer]: it writes to w what lend returns, until
// lend or w fails. lend waits for bytes; giveBack gets the number of them that were
// written. At the end of the stream, [io.EOF], PassOn returns nil.
func PassOn(w io.Writer, lend func() ([]byte, error), giveBack func(n int)) (written int64, err error) {
	for {
		p, err := lend()
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(p)
		giveBack(n)
		written += int64(n)
		switch {
		case err != nil:
			return written, err
		case n < len(p):
			return written, io.ErrShortWrite
		}
	}
}
