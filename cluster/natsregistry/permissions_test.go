package natsregistry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/cluster/natsregistry"
)

// In TestPermissions replicas, and a service that may only dial, do what they may.
func TestPermissions(t *testing.T) {
	for name, open := range sites {
		t.Run(name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			s := open(t)
			first, second, web := s.asReplica(t), s.asReplica(t), s.asWeb(t)
			a, b := join(t, first), join(t, second)
			watched, err := web.Watch(t.Context(), "client0")
			if err != nil {
				t.Fatal(err)
			}
			a.attach("client", 1)
			for _, by := range []*natsregistry.Registry{first, second, web} {
				found(t, by, "client0", a)
			}
			receive(t, "a watcher", watched)
			b.attach("client", 1)
			receive(t, "a rival", a.rivals)
		})
	}
}

func receive(t *testing.T, what string, claims <-chan cluster.Claim) {
	t.Helper()
	select {
	case <-claims:
	case <-time.After(patience):
		t.Fatalf("%s: no claim after %v", what, patience)
	}
}

// In TestImpersonation a service that may only dial tries to hold a client.
func TestImpersonation(t *testing.T) {
	for name, open := range sites {
		t.Run(name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			s := open(t)
			replica := s.asReplica(t)
			var log backdialtest.Log
			web := connectAs(t, s.url, natsregistry.Config{User: "web", Options: s.web, Logger: log.Logger()})
			h := join(t, web)
			h.attach("client", 1)
			backdialtest.Until(t, "a complaint", func() bool { return log.Has("Permissions Violation") })
			for range 10 {
				nobody(t, replica, "client0")
			}
			if n := h.asked.Load(); n != 0 {
				t.Errorf("the impostor was asked %d times", n)
			}
		})
	}
}

// In TestWrongUser a service has not set its User, and may not read answers.
func TestWrongUser(t *testing.T) {
	for name, open := range sites {
		t.Run(name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			s := open(t)
			r := connected(t, s.url, s.web...)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := r.Locate(ctx, "client0")
			if !errors.Is(err, cluster.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) ||
				!errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "backdial.inbox.replica.") {
				t.Errorf("Locate returned %v, want the error of ctx, and that the inbox is refused", err)
			}
		})
	}
}

// In TestAnonymous somebody connects whom the engine does not know.
func TestAnonymous(t *testing.T) {
	backdialtest.CheckLeaks(t)
	r := connect(t, documented(t).url)
	backdialtest.Until(t, "a refusal", func() bool {
		_, err := r.Locate(t.Context(), "client0")
		return errors.Is(err, cluster.ErrUnavailable) && errors.Is(err, nats.ErrAuthorization)
	})
	if r.Connected() {
		t.Error("the engine accepts a user that does not say who it is")
	}
}
