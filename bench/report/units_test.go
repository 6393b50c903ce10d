package main

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	for _, test := range []struct {
		key   string
		value float64
		want  string
	}{
		{"p50-ns", 45_678, "45.7 µs"},
		{"p50-ns", 1_760_000, "1.76 ms"},
		{"p50-ns", 9_996, "10.0 µs"},
		{"MB/s", 99.97, "100 MB/s"},
		{"MB/s", 2_340, "2.34 GB/s"},
		{"B/op", 1536, "1.50 KiB"},
		{"allocs/op", 27, "27.0"},
		{"goroutines/each", -0.0018, "0.00"},
		{"streams/s", 31_400, "31.4 k/s"},
		{"ping-RTTs", 1.02, "1.02 RTT"},
		{"widgets", 12, "12.0"}, // which nobody has heard of
	} {
		if got := unitsOf([]string{test.key})[0].show(test.value); got != test.want {
			t.Errorf("%g %s is shown as %q, want %q", test.value, test.key, got, test.want)
		}
	}
}

func TestWhatIsBetter(t *testing.T) {
	for key, want := range map[string]string{
		"MB/s": "higher", "requests/s": "higher", "share": "higher", "p50-ns": "lower", "B/day": "lower", "cpu-ns/min": "lower", "rss-B": "lower",
	} {
		if got := unitsOf([]string{key})[0].better(); got != want+" is better" {
			t.Errorf("of %s, %s, want %s", key, got, want)
		}
	}
}

func TestTimeOfAnIterationOnlyWhereThereIsNothingElse(t *testing.T) {
	keys := func(units []unit) (keys []string) {
		for _, u := range units {
			keys = append(keys, u.key)
		}
		return keys
	}
	for _, test := range []struct{ units, want string }{
		{"ns/op B/op", "ns/op B/op"},
		{"ns/op B/op p50-ns", "p50-ns B/op"},
	} {
		if got := strings.Join(keys(unitsOf(strings.Fields(test.units))), " "); got != test.want {
			t.Errorf("of %q are shown %q, want %q", test.units, got, test.want)
		}
	}
}

func TestRatiosAreOfTheSameRepeat(t *testing.T) {
	slow := series{0: 10, 1: 100, 2: 20}
	base := series{0: 5, 1: 50, 3: 7}
	e := slow.over(base).estimate()
	if e.n != 2 || e.median != 2 || e.spread != 0 {
		t.Errorf("the ratios are %+v, want two of 2", e)
	}
	if e := slow.over(series{0: 0}).estimate(); e.n != 0 || e.text(digits) != dash {
		t.Errorf("a ratio to nothing is %+v, want none", e)
	}
}
