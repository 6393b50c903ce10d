package ws

import "testing"

func TestHasToken(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"token"}, true},
		{[]string{"TOKEN"}, true},
		{[]string{"a, \tToken ,b"}, true},
		{[]string{"a", "b,token"}, true},
		{[]string{",,token,"}, true},
		{[]string{"token2", "a token", "oken"}, false},
		{[]string{"to\u212aen"}, false}, // the sign of Kelvin is a k to package strings
		{[]string{"T\x0fKEN"}, false},
	} {
		if got := hasToken(test.values, "token"); got != test.want {
			t.Errorf("%q has the token: %t, want %t", test.values, got, test.want)
		}
	}
}
