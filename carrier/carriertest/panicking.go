package carriertest

import (
	"net/http"
	"os"
	"testing"

	"github.com/backdial/backdial/internal/test/suite"
)

// panicEnv makes survivesPanic panic, in a process of its own.
const panicEnv = "BACKDIAL_CARRIERTEST_PANIC"

func survivesPanic(t *testing.T, target Target) {
	if os.Getenv(panicEnv) != "" {
		panicInHandlers(t, target)
		return
	}
	if passed, out := suite.Rerun(t, panicEnv+"=1"); !passed {
		t.Errorf("handlers that panic, in a process of their own:\n%s", out)
	}
}

// panicInHandlers runs handlers that panic one after the other, and then one that does
// not.
func panicInHandlers(t *testing.T, target Target) {
	handlers := make(chan http.HandlerFunc, 1)
	s := serve(t, target, func(w http.ResponseWriter, r *http.Request) { (<-handlers)(w, r) })
	for _, reason := range []any{"a mistake", http.ErrAbortHandler} {
		handlers <- func(http.ResponseWriter, *http.Request) { panic(reason) }
		if err := s.try(t.Context()); err == nil {
			t.Errorf("Dial connected to a handler that panicked: %v", reason)
		}
		handlers <- func(w http.ResponseWriter, r *http.Request) {
			welcome(target)(w, r)
			panic(reason)
		}
		s.try(t.Context()) // which may get the connection, or see its end
	}
	handlers <- welcome(target)
	if err := s.try(t.Context()); err != nil {
		t.Errorf("Dial after handlers have panicked: %v", err)
	}
}
