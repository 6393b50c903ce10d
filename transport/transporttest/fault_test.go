package transporttest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/carriertest"
	"github.com/backdial/backdial/carrier/mem"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/muxtest"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport/transporttest"
)

// faultEnv names the fault that a process of its own is to test.
const faultEnv = "BACKDIAL_TRANSPORTTEST_FAULT"

// faults are stacks with a fault, and the promises that they break. Faults
// of a multiplexer alone are in muxtest.
var faults = map[string]struct {
	stack  transporttest.Stack
	broken []transporttest.Promise
}{
	"HeaderLost": {
		transporttest.Stack{
			Target: carriertest.Target{Carrier: headerless{mem.New()}, Scheme: "mem"},
			Muxer:  yamuxmux.New(),
		},
		[]transporttest.Promise{transporttest.HeaderArrives},
	},
	"ProtocolMisreported": {
		transporttest.Stack{
			Target: carriertest.Target{Carrier: misreporting{mem.New()}, Scheme: "mem"},
			Muxer:  yamuxmux.New(),
		},
		[]transporttest.Promise{transporttest.SameInfo},
	},
	"LostIsEnd": {
		transporttest.Stack{
			Target: carriertest.Target{Carrier: mem.New(), Scheme: "mem"},
			Muxer:  truncating{yamuxmux.New()},
		},
		// Its streams have no optional powers.
		[]transporttest.Promise{muxtest.EOFOnlyAfterEnd, muxtest.DeadPeer, muxtest.Check, muxtest.WriteTo},
	},
}

// TestFaults runs the suite on each faulty stack, in a process of its own, and
// expects the subtests of the broken promises to fail, and no other.
func TestFaults(t *testing.T) {
	long.Only(t)
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			if os.Getenv(faultEnv) == name {
				transporttest.Test(t, fault.stack, deviations["yamux"]...)
				return
			}
			t.Parallel()
			suite.ExpectBroken(t, fault.broken, suite.Soon(), func(env ...string) (bool, string) {
				return suite.Rerun(t, append(env, faultEnv+"="+name)...)
			})
		})
	}
}

// memNetwork is what a faulty carrier has of a sound one.
type memNetwork interface {
	carrier.Carrier
	carrier.Listener
}

// A headerless carrier does not send the header.
type headerless struct{ memNetwork }

func (c headerless) Dial(ctx context.Context, r *carrier.Request) (carrier.Conn, error) {
	bare := *r
	bare.Header = nil
	return c.memNetwork.Dial(ctx, &bare)
}

// A misreporting carrier tells its server that another protocol was agreed
// upon.
type misreporting struct{ memNetwork }

func (c misreporting) Upgrade(w http.ResponseWriter, r *http.Request, protocol string) (carrier.Conn, error) {
	conn, err := c.memNetwork.Upgrade(w, r, protocol)
	if err != nil {
		return nil, err
	}
	return misreported{conn}, nil
}

type misreported struct{ carrier.Conn }

func (misreported) Protocol() string { return "another" }

func (c misreported) CloseWrite() error { return c.Conn.(carrier.CloseWriter).CloseWrite() }

// A truncating muxer takes the loss of a session for the end of its streams.
type truncating struct{ mux.Muxer }

func (m truncating) ListenSide(conn net.Conn, config mux.Config) (mux.Session, error) {
	s, err := m.Muxer.ListenSide(conn, config)
	return truncatingSession{s}, err
}

type truncatingSession struct{ mux.Session }

func (s truncatingSession) Accept(ctx context.Context) (mux.Stream, error) {
	st, err := s.Session.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return truncatingStream{st}, nil
}

type truncatingStream struct{ mux.Stream }

func (s truncatingStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if err != nil && strings.Contains(err.Error(), "session ended") {
		err = io.EOF
	}
	return n, err
}
