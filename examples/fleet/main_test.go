//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/chromium"
	"github.com/backdial/backdial/internal/test/leak"
)

var picture = flag.String("picture", "", "write what the page looks like to `file`, as PNG")

// TestPage looks at the page while devices come and go, and asks one for its own page.
func TestPage(t *testing.T) {
	leak.Check(t)
	browser := chromium.Find(t)
	ctx, stop := context.WithCancel(t.Context())
	type address struct {
		url   string
		trust *tls.Config
	}
	ready, done := make(chan address, 1), make(chan error, 1)
	go func() {
		done <- run(ctx, "127.0.0.1:0", func(url string, trust *tls.Config) { ready <- address{url, trust} })
	}()
	at := <-ready
	tab := chromium.Open(t, browser, at.url)
	tab.Await(t, `document.querySelector("#state").textContent == "0 devices are connected"`)

	connected, leave := context.WithCancel(ctx)
	simulate(connected, at.url, at.trust)
	tab.Await(t, `document.querySelectorAll("tbody tr").length == 6`)
	tab.Await(t, `[...document.querySelectorAll("tbody tr")].map(row => row.cells[0].textContent + " " + row.cells[1].textContent + " " + row.cells[2].textContent).join() ==
		"camera-gate webtransport native,camera-yard webtransport yamux,gateway-roof ws yamux,kiosk-lobby ws yamux,kiosk-street ws smux,van-7 webtransport native"`)
	tab.Await(t, `document.querySelectorAll("tbody tr")[3].querySelector("button").click() ?? true`)
	tab.Await(t, `document.querySelector("output").textContent.startsWith("I am kiosk-lobby, and my clock says ")`)
	tab.Await(t, `document.querySelectorAll("tbody tr")[3].cells[5].textContent == "1"`) // that is kept for more
	if *picture != "" {
		if err := os.WriteFile(*picture, tab.Picture(t, 1000, 640), 0o644); err != nil {
			t.Error(err)
		}
	}

	leave()
	tab.Await(t, `document.querySelectorAll("tbody tr").length == 0`)
	tab.Kill()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCommand runs the documented command.
func TestCommand(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "-addr") {
		t.Errorf("%s", out)
	}
}
