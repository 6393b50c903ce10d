package long_test

import (
	"testing"

	"github.com/backdial/backdial/internal/test/long"
)

func TestOnly(t *testing.T) {
	for _, asked := range []string{"", "1"} {
		t.Setenv("BACKDIAL_LONG", asked)
		ran := false
		t.Run("long", func(t *testing.T) {
			long.Only(t)
			ran = true
		})
		if ran != (asked != "") {
			t.Errorf("BACKDIAL_LONG=%q: the test ran: %t", asked, ran)
		}
	}
}

func TestShorten(t *testing.T) {
	before := testing.Short()
	for _, asked := range []string{"", "1"} {
		t.Setenv("BACKDIAL_LONG", asked)
		t.Run("contract", func(t *testing.T) {
			long.Shorten(t)
			if want := before || asked == ""; testing.Short() != want {
				t.Errorf("BACKDIAL_LONG=%q: testing.Short() is %t", asked, !want)
			}
		})
		if testing.Short() != before {
			t.Error("testing.Short() has changed for good")
		}
	}
}
