package redact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
)

func TestURL(t *testing.T) {
	for from, want := range map[string]string{
		"ws://host/path":                         "ws://host/path",
		"ws://user:secret@host:8080/a%2Fb":       "ws://xxxxx@host:8080/a%2Fb",
		"ws://token@host/":                       "ws://xxxxx@host/",
		"ws://host/path?token=secret#there":      "ws://host/path",
		"ws:user:secret@host":                    "ws:…",
		"ws:/user:secret@host/path":              "ws:…",
		"ws:///user:secret@host":                 "ws:…",
		"//user:secret@host":                     "//xxxxx@host",
		"ws://host/@path":                        "ws://host/@path",
		"/path":                                  "/path",
		"ws://host/%0a%1b[2J":                    "ws://host/%0a%1b[2J",
		"ws://host/" + strings.Repeat("p", 1000): "ws://host/" + strings.Repeat("p", MaxText-len("ws://host/")) + "…",
	} {
		u, err := Parse(from)
		if err != nil {
			t.Fatal(err)
		}
		if got := URL(u); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
		if got := Address(from); got != want {
			t.Errorf("the address %s: %s, want %s", from, got, want)
		}
	}
}

// TestParse expects errors about a URL not to contain the URL.
func TestParse(t *testing.T) {
	for from, why := range map[string]string{
		"ws://secret:secret/secret@host": "invalid port",
		"ws://secret%zz@host":            "invalid URL escape",
		"ws://secret secret@host":        "invalid userinfo",
		"ws://host/?secret\n":            "invalid control character in URL",
		"ws://secret secret/":            "invalid character",
		":secret":                        "missing protocol scheme",
		"ws://[secret":                   "missing ']' in host",
		"ws://[%25secret]/":              "invalid host",
		"ws://[secret]/":                 "invalid host",
	} {
		_, err := Parse(from)
		if err == nil || !strings.HasPrefix(err.Error(), why+" (") || strings.Contains(err.Error(), "secret@") ||
			strings.Contains(strings.Replace(err.Error(), "a secret;", "", 1), "secret") {
			t.Errorf("%q: %v, want %s", from, err, why)
		}
		if got := Address(from); got != "…" {
			t.Errorf("%q is shown as %s", from, got)
		}
	}
}

func TestText(t *testing.T) {
	for from, want := range map[string]string{
		"plain":           "plain",
		`"quoted" \`:      `"quoted" \`,
		"größe 界":         "größe 界",
		"a\nb\r\tc":       `a\nb\r\tc`,
		"\x1b[2J\x00\x7f": `\x1b[2J\x00\x7f`,
		"\x9b31m":         `\x9b31m`,
		"\u009b \u2028":   `\u009b \u2028`,
		"\u202egnp":       `\u202egnp`,
		"\ufffd":          "\ufffd",
		`Get "http://user:secret@host/path?token=secret#x": refused`: `Get "http://xxxxx@host/path?…": refused`,
		"see https://host/a?token=secret":                            "see https://host/a?…",
		"no page at /a?token=secret":                                 "no page at /a?…",
		"ws:user:secret@host":                                        "xxxxx@host",
		"//user:sec/re?t@host/":                                      "//xxxxx@host/",
		"what is wrong? mail to admin@example.com":                   "what is wrong? mail to admin@example.com",
		strings.Repeat("x", MaxText+1):                               strings.Repeat("x", MaxText) + "…",
		strings.Repeat("x", MaxText-1) + "界":                         strings.Repeat("x", MaxText-1) + "…",
		"https://" + strings.Repeat("s", MaxText) + ":secret@host":   "https://xxxxx@host",
		strings.Repeat("\xda", MaxText):                              strings.Repeat(`\xda`, MaxText/4) + "…",
	} {
		if got := Text(from); got != want {
			t.Errorf("%q is shown as %q, want %q", from, got, want)
		}
	}
	if got, want := Quote("a\n\"b\""), `"a\n\"b\""`; got != want {
		t.Errorf("quoted as %s, want %s", got, want)
	}
	if got, want := Quote(strings.Repeat(`"`, MaxText)), `"`+strings.Repeat(`\"`, MaxText/2)+`…"`; got != want {
		t.Errorf("quoted as %s, want %s", got, want)
	}
}

func TestError(t *testing.T) {
	if err := Error(io.EOF); err != io.EOF {
		t.Errorf("an error with nothing to hide becomes %#v", err)
	}
	if err := Error(nil); err != nil {
		t.Errorf("nil becomes %v", err)
	}
	err := Error(fmt.Errorf("\x1b[2J: %w", io.EOF))
	if err.Error() != `\x1b[2J: EOF` || !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want one that is escaped and matches io.EOF", err)
	}
}

// In TestDial a server repeats the secrets of the request.
func TestDial(t *testing.T) {
	u, err := Parse("ws://device:TopSecret@host/path?key=TheQuery&n=1")
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Authorization": {"Bearer TheToken"}, "Cookie": {"session=TheCookie"}}
	said := "1 TheToken, key=TheQuery&n=1 TheQuery TopSecret session=TheCookie\n"
	got := Dial("ws", u, header, fmt.Errorf("server answered %s: %w", said, io.EOF))
	const want = `ws: dial ws://xxxxx@host/path: server answered 1 xxxxx, xxxxx xxxxx xxxxx xxxxx\n: EOF`
	if got.Error() != want || !errors.Is(got, io.EOF) {
		t.Errorf("error %v, want %s", got, want)
	}
}

// In FuzzText a peer says anything. It takes one line of bounded length.
func FuzzText(f *testing.F) {
	f.Add("a\n\x1b[2J\xff\u202e ws://user:secret@host/?token")
	f.Fuzz(func(t *testing.T, said string) {
		for _, shown := range []string{Text(said), Quote(said)} {
			if len(shown) > len(`""…`)+MaxText {
				t.Errorf("%d bytes are shown of %d", len(shown), len(said))
			}
			if i := strings.IndexFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("%q is shown as %q", said, shown)
			}
		}
		u := &url.URL{Scheme: "ws", User: url.UserPassword("TopSecret", "TopSecret"), Host: "host", RawQuery: "TopSecret"}
		if shown := Text(u.String() + said); strings.Contains(shown, "TopSecret@") || strings.Contains(shown, "?TopSecret") {
			t.Errorf("a URL is shown in %q", shown)
		}
	})
}

// In TestLogger a library logs what its peer says, and a panic with its stack.
func TestLogger(t *testing.T) {
	var b bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	std := Logger(logger, slog.LevelWarn)
	std.Printf("http: TLS handshake error: %s", "a\nroot logged in")
	std.Printf("http: panic serving 1.2.3.4: %v\n%s", "why", "goroutine 1\nmain.main")
	Logger(logger, slog.LevelDebug).Print("not enabled")
	const want = `{"level":"WARN","msg":"http: TLS handshake error: a\\nroot logged in"}
{"level":"WARN","msg":"http: panic serving 1.2.3.4: why","stack":"goroutine 1\nmain.main"}
`
	if b.String() != want {
		t.Errorf("logged\n%swant\n%s", b.String(), want)
	}
}
