package transport

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/ident"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
)

// TestProtocolPage expects docs/protocol.md to have the words and numbers of the code.
func TestProtocolPage(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	says := func(format string, args ...any) {
		t.Helper()
		if want := fmt.Sprintf(format, args...); !strings.Contains(page, want) {
			t.Errorf("docs/protocol.md does not say %q", want)
		}
	}
	for kind, name := range map[int]string{
		controlMove: "move", controlMoved: "moved", controlStaying: "staying", controlLeaving: "leaving",
		controlClosing: "closing", controlServer: "server", controlFailed: "failed", controlEnding: "ending",
	} {
		says("| %d | %s | ", kind, name)
	}
	var told int
	for _, reason := range EndReasons() {
		if reason.isTold() {
			told++
			says("`%s`", reason)
		}
	}
	if told != 5 {
		t.Errorf("a server may tell %d reasons, of which docs/protocol.md has 5", told)
	}
	for _, m := range []mux.Muxer{yamuxmux.New(), smuxmux.New(), qmux.New(), nativemux.New()} {
		says("| `%s` | [", m.Protocol())
	}
	says("| any, with `%s: 1` | ", carrier.RejectedHeader)
	says("| `%s` | only for a client with [several sessions]", connectedHeader)
	for status := 400; status < 600; status++ {
		if http.StatusText(status) == "" {
			continue
		}
		later := strings.Contains(page, fmt.Sprintf("| %d | ", status))
		if later {
			_, row, _ := strings.Cut(string(text), fmt.Sprintf("| %d | ", status))
			row, _, _ = strings.Cut(row, "\n")
			later = strings.Contains(row, "| later")
		} else {
			later = status >= 500 || status == 408 || status == 425
		}
		if later != isPassing(status) {
			t.Errorf("docs/protocol.md says later=%v of status %d, want %v", later, status, isPassing(status))
		}
	}

	says("has at most %d fields, and %d KiB", maxHeaderFields, maxHeaderBytes>>10)
	says("A reason (5) has %d bytes at most", maxReason)
	says("An ID (6) has 1 to %d of", ident.MaxLength)
	says("A message has %d bytes at most", mux.MaxMessage)
	says("has not answered %.0f s after the delay", moveGrace.Seconds())
	says("*b* is %.1f s for the first attempt and doubles with each that fails, up to %.0f s",
		defaultBackoffMin.Seconds(), defaultBackoffMax.Seconds())
	says("doubles with each in a row, up to %.0f minutes", defaultBackoffMaxRefused.Minutes())
	says("that has lasted for %.0f s", defaultBackoffStable.Seconds())
	says("%d at a time by default", defaultMaxStreamsOfClient)
	says("| %d,%d, of which one address may have all |", defaultMaxSessions/1000, defaultMaxSessions%1000)
	says("| %.0f h, before which", defaultMaxAge.Hours())
	config := mux.Config{}.WithDefaults()
	says("up to %d streams ahead", config.AcceptBacklog)
	says("| %d KiB each way; the server's grows up to %d MiB", config.Window>>10, config.MaxWindow>>20)
	says("unread | %d MiB |", config.ReceiveBuffer>>20)
	says("when nothing has arrived for %.0f s by default", config.KeepAlive.Seconds())
	says("for %.0f s after one", config.KeepAliveTimeout.Seconds())
	says("waits, for %d s by default", config.Linger/time.Second)
}
