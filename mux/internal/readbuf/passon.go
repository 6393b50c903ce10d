package readbuf

import "io"

// PassOn is the WriteTo of a stream with a [Buffer]: it writes to w what lend returns,
// until that fails or w does. lend waits for bytes, and giveBack is told how many of them
// have been written. The end of the stream, [io.EOF], is not an error.
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
