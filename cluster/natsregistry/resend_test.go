package natsregistry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
)

// In TestResend nobody answers requests, as while a replica crashes. They are repeated, and
// not less often as time passes.
func TestResend(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := serve(t, server.Options{})
	holder, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(holder.Close)
	const id, enough = "x", 20
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	asked := 0
	subject := natsregistry.DefaultNamespace + ".locate." + base64.RawURLEncoding.EncodeToString([]byte(id))
	if _, err := holder.Subscribe(subject, func(*nats.Msg) {
		if asked++; asked == enough {
			cancel()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := holder.Flush(); err != nil {
		t.Fatal(err)
	}
	r := connected(t, s.ClientURL())
	began := time.Now()
	_, err = r.Locate(ctx, id)
	if !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want ErrUnavailable, because nobody waits any more after %d requests", err, enough)
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("%d requests within %v", enough, took)
	}
}
