package shed

import (
	"slices"
	"testing"
	"time"
)

func TestOrder(t *testing.T) {
	now := time.Now()
	loads := map[string]Load{
		"read, much":   {100, now},
		"unread":       {10, time.Time{}},
		"unread, much": {20, now.Add(-2 * Lately)},
		"read":         {5, now.Add(-Lately / 2)},
		"nothing":      {0, time.Time{}},
	}
	got := Order([]string{"read", "unread", "nothing", "read, much", "unread, much"}, func(s string) Load { return loads[s] })
	if want := []string{"unread, much", "unread", "read, much", "read"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}
