package leak_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/suite"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func sleepForEver() { select {} }

// leaks are what a test may leave behind.
var leaks = map[string]func(){
	"goroutine": func() { go sleepForEver() },
	"goroutine of a goroutine": func() {
		done := make(chan bool)
		go func() {
			defer close(done)
			go sleepForEver()
		}()
		<-done
	},
	"timer": func() {
		late := make(chan bool)
		time.AfterFunc(0, func() { close(late); sleepForEver() })
		<-late
	},
}

// TestLeaks plants leaks, in processes of their own.
func TestLeaks(t *testing.T) {
	const plantedEnv = "BACKDIAL_LEAK_PLANTED"
	t.Parallel()
	for name, plant := range leaks {
		for kind, check := range map[string]func(t *testing.T){
			"Check":    func(t *testing.T) { leak.Check(t) },
			"Parallel": leak.Parallel,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				if os.Getenv(plantedEnv) != "" {
					t.Run("sound", check)
					t.Run("leaking", func(t *testing.T) {
						check(t)
						plant()
					})
					return
				}
				t.Parallel()
				passed, out := suite.Rerun(t, plantedEnv+"=1", leak.PatienceEnv+"=200ms")
				if passed || !strings.Contains(out, "leak_test.sleepForEver") {
					t.Errorf("the leak is not found\n%s", out)
				}
				if name != "timer" && !strings.Contains(out, "--- PASS: "+t.Name()+"/sound ") {
					t.Errorf("another test is blamed\n%s", out)
				}
			})
		}
	}
}

// Tests that run beside each other, and end what they start.
func TestNoLeak(t *testing.T) {
	for range 20 {
		t.Run("", func(t *testing.T) {
			leak.Parallel(t)
			done := make(chan bool)
			time.AfterFunc(time.Millisecond, func() { close(done) })
			go func() { <-done }()
		})
	}
}
