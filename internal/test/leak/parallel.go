package leak

import (
	"flag"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// parallel is how many tests of a package [Main] runs at a time. Mostly they wait.
const parallel = 8

// Main runs the tests of a package some of which call [Parallel], more of them at a time than
// there are processors. It returns what [os.Exit] needs.
func Main(m *testing.M) (code int) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // the default
		f.Value.Set(strconv.Itoa(parallel))
	}
	return m.Run()
}

// Parallel makes t run beside the others that call it, and looks for leaks as [Own] does. The
// last of them to end looks for all other goroutines too, so no test may run beside them
// without calling Parallel. Call it first.
func Parallel(t *testing.T) {
	t.Helper()
	t.Parallel()
	together.begin()
	t.Cleanup(func() { together.end(t) })
	Own(t)
}

var together group

// A group is the tests that run beside each other.
type group struct {
	mu      sync.Mutex // guards below
	running int
	failed  bool         // a test that stopped half way leaves things behind
	find    func() error // what was started since the first of them began; nil: none has begun
}

func (g *group) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.find == nil {
		g.find = started()
	}
	g.running++
}

// end looks for leaks if t is the last of the group.
func (g *group) end(t *testing.T) {
	g.mu.Lock()
	g.running--
	g.failed = g.failed || t.Failed()
	find := g.find
	g.mu.Unlock()
	for deadline := time.Now().Add(patience()); g.isOver(); {
		err := find()
		switch {
		case err == nil || g.failed:
			g.reset()
			return
		case time.Now().After(deadline) && g.isOver():
			t.Errorf("leak after %s, the last of several tests: %v", t.Name(), err)
			g.reset()
			return
		}
	}
}

// isOver reports whether none of the tests is running.
func (g *group) isOver() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running == 0
}

// reset makes the next test the first one of a group.
func (g *group) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 {
		g.find, g.failed = nil, false
	}
}
