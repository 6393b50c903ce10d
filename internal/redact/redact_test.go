package redact

import (
	"net/url"
	"testing"
)

func TestURL(t *testing.T) {
	for from, want := range map[string]string{
		"ws://host/path":                    "ws://host/path",
		"ws://user:secret@host:8080/a%2Fb":  "ws://user:xxxxx@host:8080/a%2Fb",
		"ws://user@host/":                   "ws://user@host/",
		"ws://host/path?token=secret#there": "ws://host/path",
		"ws:user:secret@host":               "ws:…",
		"ws:/user:secret@host/path":         "ws:…",
		"ws:///user:secret@host":            "ws:…",
		"//user:secret@host":                "//user:xxxxx@host",
		"ws://host/@path":                   "ws://host/@path",
		"/path":                             "/path",
	} {
		u, err := url.Parse(from)
		if err != nil {
			t.Fatal(err)
		}
		if got := URL(u); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}
