package workload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/transport"
)

func TestClassOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Class
	}{
		{nil, Done},
		{fmt.Errorf("%w: a body", errCorrupt), Corrupt},
		{errEnded, Truncated},
		{errRefused, Refused},
		{fmt.Errorf("%w: %w", transport.ErrClientGone, mux.ErrSessionEnded), Ended},
		{fmt.Errorf("dial: %w", net.ErrClosed), Ended},
		{fmt.Errorf("dial: %w", transport.ErrDraining), Draining},
		{fmt.Errorf("read: %w", mux.ErrReset), Reset},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), Deadline},
		{fmt.Errorf("dial: %w", context.DeadlineExceeded), Deadline},
		{errors.New("no idea"), Other},
	} {
		if got := ClassOf(test.err); got != test.want {
			t.Errorf("%v is of class %d, want %d", test.err, got, test.want)
		}
	}
}
