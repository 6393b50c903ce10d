package recent

import "testing"

func TestMap(t *testing.T) {
	m := Map[string, int]{Max: 2}
	has := func(key string, want int, wantOK bool) {
		t.Helper()
		if got, ok := m.Get(key); got != want || ok != wantOK {
			t.Errorf("%s: %d, %v, want %d, %v", key, got, ok, want, wantOK)
		}
	}
	m.Delete("a") // of an empty one
	m.Set("a", 1)
	m.Set("b", 2)
	m.Set("a", 3) // is the latest now
	m.Set("c", 4)
	has("a", 3, true)
	has("b", 0, false)
	has("c", 4, true)
	m.Delete("a")
	has("a", 0, false)
	m.Set("b", 5)
	has("c", 4, true)
	has("b", 5, true)
	if len(m.byKey) != 2 || m.Len() != 2 {
		t.Errorf("it holds %d keys and %d values", len(m.byKey), m.Len())
	}
}
