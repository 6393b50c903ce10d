package fleet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// errNotTaken ends a request whose client takes nothing of its body.
var errNotTaken = fmt.Errorf("fleet: the client does not read the request: %w", os.ErrDeadlineExceeded)

// An upload is the body of a request that a client has not answered. It ends the request if
// the client takes nothing of it for too long: ResponseHeaderTimeout begins only when all of
// it was sent. A user who sends nothing is not the client's fault.
type upload struct {
	io.ReadCloser
	patience func() time.Duration // 0 for no limit
	late     *time.Timer          // runs while the client has to take what was read
	over     atomic.Bool
}

// newUpload makes the body of r an upload, which ends the request with giveUp. answered ends
// its limit.
func newUpload(r *http.Request, patience func() time.Duration, giveUp context.CancelCauseFunc) (answered func()) {
	if r.Body == nil || r.Body == http.NoBody {
		return func() {}
	}
	u := &upload{ReadCloser: r.Body, patience: patience}
	u.late = time.AfterFunc(time.Hour, func() { giveUp(errNotTaken) })
	u.late.Stop()
	r.Body = u
	return u.stop
}

func (u *upload) Read(p []byte) (int, error) {
	u.late.Stop()
	n, err := u.ReadCloser.Read(p)
	patience := u.patience()
	if n == 0 || patience <= 0 {
		return n, err
	}
	if err != nil { // the last part; ResponseHeaderTimeout begins after it
		patience *= 2
	}
	u.late.Reset(patience)
	if u.over.Load() {
		u.late.Stop()
	}
	return n, err
}

func (u *upload) stop() {
	u.over.Store(true)
	u.late.Stop()
}

func (u *upload) Close() error {
	u.stop()
	return u.ReadCloser.Close()
}
