package workload

import "testing"

func TestSet(t *testing.T) {
	var s Set
	for _, n := range []uint32{0, 63, 64, 1000} {
		if s.Has(n) || !s.add(n) || s.add(n) || !s.Has(n) {
			t.Errorf("%d is there before it is added, or not after, or added twice", n)
		}
	}
	if s.Has(1) || s.Has(1001) || s.Has(1<<31) {
		t.Error("what was not added is there")
	}
	var other Set
	other.add(64)
	other.add(5000)
	if rest := s.without(other); s.Len() != 4 || rest.Len() != 3 || rest.Has(64) {
		t.Errorf("%d numbers, %d without 64", s.Len(), rest.Len())
	}
	if rest := other.without(s); rest.Len() != 1 || !rest.Has(5000) {
		t.Errorf("%d numbers, want 5000 alone", rest.Len())
	}
}
