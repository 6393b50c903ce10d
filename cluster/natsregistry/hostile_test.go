package natsregistry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
)

// In TestHostileAnswers a replica answers nonsense, before another one answers.
func TestHostileAnswers(t *testing.T) {
	backdialtest.CheckLeaks(t)
	e := newEngine(t)
	outside, other := e.connect(t), e.connect(t)
	nc, err := nats.Connect(e.url())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, err = nc.Subscribe("backdial.locate.*", func(m *nats.Msg) {
		for _, answer := range [][]byte{
			nil, {0}, []byte("{}"), []byte("null"), []byte(`{"v":1}`), []byte(`{"v":2,"run":"x"}`),
			[]byte(`{"v":1,"run":"x","pin":"AA=="}`), bytes.Repeat([]byte("["), 4096), bytes.Repeat([]byte(" "), 1<<20),
			fmt.Appendf(nil, `{"v":1,"run":"x","url":%q}`, bytes.Repeat([]byte("x"), 4000)),
		} {
			m.Respond(answer)
		}
		m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"999"}}})
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	if c, err := outside.Locate(ctx, "client0"); !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Locate returned %+v, %v; want ErrUnavailable and context.DeadlineExceeded", c, err)
	}
	a := join(t, other)
	a.attach("client", 1)
	found(t, outside, "client0", a)
}
