package webtransport

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/backdial/backdial/internal/ctxerr"
)

// A byteStream is the stream of a connection's own bytes. Most connections never have
// one.
type byteStream struct {
	obtain func() (*webtransport.Stream, error)

	once     sync.Once
	obtained chan struct{} // closed when the following fields are set
	stream   *stream
	err      error
	early    []*webtransport.Stream // streams that arrived before it

	reading  sync.Mutex  // held during a Read
	finished atomic.Bool // by CloseWrite
}

// byteStream waits for the byte stream and returns it. The first call starts the wait,
// which goes on even after ctx has ended.
func (c *conn) byteStream(ctx context.Context) (*stream, error) {
	b := &c.bytes
	b.once.Do(func() {
		go func() {
			defer close(b.obtained)
			str, err := b.obtain()
			if err != nil {
				b.err = c.cause(err)
				return
			}
			b.stream = c.newStream(str)
		}()
	})
	select {
	case <-b.obtained:
		return b.stream, b.err
	case <-ctx.Done():
		return nil, ctxerr.Of(ctx)
	}
}

// openBytes opens the byte stream on a client.
func (c *conn) openBytes() (*webtransport.Stream, error) {
	str, err := c.session.OpenStreamSync(c.life)
	if err != nil {
		return nil, err
	}
	return str, announce(str)
}

// acceptBytes waits for the byte stream on a server. Streams may arrive in another order
// than that of their IDs.
func (c *conn) acceptBytes(id quic.StreamID) (*webtransport.Stream, error) {
	for {
		str, err := c.session.AcceptStream(c.life)
		if err != nil {
			return nil, err
		}
		if str.StreamID() == id {
			return str, nil
		}
		c.bytes.early = append(c.bytes.early, str)
	}
}
