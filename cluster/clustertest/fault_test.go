package clustertest_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
	. "github.com/backdial/backdial/cluster/clustertest"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/suite"
)

// plantedEnv makes TestFaults run the suite, and fail, in a process of its own.
const plantedEnv = "BACKDIAL_CLUSTERTEST_PLANTED"

// children is how many processes run at a time. Mostly they wait.
const children = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", children)
	os.Exit(m.Run())
}

// TestSound expects the suite to find nothing in a registry without mistakes.
func TestSound(t *testing.T) { Test(t, mistakes{}.target()) }

// A fault is a mistake in a registry, and the promises that it breaks.
type fault struct {
	name string
	mistakes
	breaks []Promise
}

var faults = []fault{{
	"LocateRemembers", mistakes{locate: remembering(new(sync.Map))},
	[]Promise{AsksHolder, ForgetsDetached, ForgetsClosed, EndsWithContext, AvoidsDoubtful, TellsNotOneself,
		CarriesMany, ServesConcurrently, CatchesUp},
}, {
	"ExceptIgnored", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, _ []string) (cluster.Claim, error) {
		return l.Locate(ctx, id)
	}},
	[]Promise{SkipsExcepted, AvoidsDoubtful},
}, {
	"DoubtIgnored", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		c, err := l.Locate(ctx, id, except...)
		if other, err := l.Locate(ctx, id, append(except, c.Node.Run)...); err == nil && other.Doubtful {
			return other, nil
		}
		return c, err
	}},
	[]Promise{AvoidsDoubtful},
}, {
	"ContextHidden", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		if ctx.Err() != nil {
			return cluster.Claim{}, cluster.ErrUnavailable
		}
		return l.Locate(ctx, id, except...)
	}},
	[]Promise{EndsWithContext},
}, {
	"EmptyIDIsNobodys", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		if id == "" {
			return cluster.Claim{}, cluster.ErrNotConnected
		}
		return l.Locate(ctx, id, except...)
	}},
	[]Promise{RefusesIDs},
}, {
	"IDsTrimmed", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		if trimmed := strings.TrimRight(id, "~_"); trimmed != "" {
			id = trimmed
		}
		return l.Locate(ctx, id, except...)
	}},
	[]Promise{TakesAnyID},
}, {
	"NobodyIsSlow", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		c, err := l.Locate(ctx, id, except...)
		if errors.Is(err, cluster.ErrNotConnected) {
			<-time.After(250 * time.Millisecond)
		}
		return c, err
	}},
	[]Promise{KnowsNobody, AsksHolder},
}, {
	"NobodyIsUnavailable", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		c, err := l.Locate(ctx, id, except...)
		if errors.Is(err, cluster.ErrNotConnected) {
			err = cluster.ErrUnavailable
		}
		return c, err
	}},
	[]Promise{KnowsNobody, TakesAnyID, AsksHolder, ForgetsDetached, ForgetsClosed, TellsNotOneself,
		CarriesMany, ServesConcurrently, OutlivesOutage, CatchesUp},
}, {
	"ExceptedIsNobody", mistakes{locate: func(l *cluster.Local, ctx context.Context, id string, except []string) (cluster.Claim, error) {
		c, err := l.Locate(ctx, id, except...)
		if errors.Is(err, cluster.ErrMoved) {
			err = cluster.ErrNotConnected
		}
		return c, err
	}},
	[]Promise{SkipsExcepted},
}, {
	"AnswersMixedUp", mistakes{locate: mixing(new(atomic.Pointer[cluster.Claim]))},
	[]Promise{ServesConcurrently},
}, {
	"DetachIgnored", mistakes{member: func(m cluster.Member, _ cluster.Node, _ cluster.Holder) cluster.Member {
		return keeping{m}
	}},
	[]Promise{ForgetsDetached, TellsNotOneself},
}, {
	"CloseIgnored", mistakes{member: func(m cluster.Member, _ cluster.Node, _ cluster.Holder) cluster.Member {
		return open{m}
	}},
	[]Promise{ForgetsClosed, CarriesMany},
}, {
	"RivalNotTold", mistakes{holder: func(h cluster.Holder) cluster.Holder { return deaf{h} }},
	[]Promise{TellsRival, TellsNotOneself, TellsRivalAgain, CatchesUp},
}, {
	"ToldOfOneself", mistakes{member: func(m cluster.Member, _ cluster.Node, h cluster.Holder) cluster.Member {
		return selfish{m, h}
	}},
	[]Promise{TellsNotOneself, CatchesUp},
}, {
	"AttachOnce", mistakes{member: func(m cluster.Member, _ cluster.Node, _ cluster.Holder) cluster.Member {
		return &once{Member: m, attached: make(map[string]bool)}
	}},
	[]Promise{TellsRivalAgain, WatchTells, WatchKeepsLatest},
}, {
	"WatchKeepsFirst", mistakes{watch: keepFirst},
	[]Promise{WatchKeepsLatest},
}, {
	"WatchSilent", mistakes{watch: func(context.Context, <-chan cluster.Claim) <-chan cluster.Claim { return nil }},
	[]Promise{TellsRivalAgain, WatchTells, WatchKeepsLatest, CatchesUp},
}, {
	"GoroutineEach", mistakes{member: func(m cluster.Member, _ cluster.Node, _ cluster.Holder) cluster.Member {
		return &costly{Member: m, done: make(chan struct{})}
	}},
	[]Promise{CarriesMany},
}, {
	"OutageIsNobody", mistakes{whileAway: cluster.ErrNotConnected},
	[]Promise{SaysUnavailable},
}, {
	"OutageForgets", mistakes{forgets: true},
	[]Promise{OutlivesOutage, CatchesUp},
}, {
	"OutageInattentive", mistakes{inattentive: true},
	[]Promise{CatchesUp},
}, {
	"FrozenWaits", mistakes{waits: true},
	[]Promise{EndsFrozen},
}}

func TestFaults(t *testing.T) {
	long.Only(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if os.Getenv(plantedEnv) != "" {
				Hurry()
				Test(t, f.target())
				return
			}
			t.Parallel() // with other processes, which do all the work
			suite.ExpectBroken(t, f.breaks, suite.Soon(), func(env ...string) (bool, string) {
				return suite.Rerun(t, append(env, plantedEnv+"=1")...)
			})
		})
	}
}

func TestDeviation(t *testing.T) {
	m := mistakes{whileAway: cluster.ErrNotConnected}
	Test(t, m.target(), Deviation{Promise: SaysUnavailable, Because: "a fault is planted"})
}
