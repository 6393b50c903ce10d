//go:build unix

package chromium

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/backdial/backdial/internal/test/long"
)

// patience bounds each step of a browser, on a loaded machine.
const patience = time.Minute

// Find returns the path of a browser. Without one it skips t, or fails it if the
// environment requires one.
func Find(t testing.TB) string {
	t.Helper()
	long.Only(t)
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const none = "no Chromium: install Debian's chromium"
	if os.Getenv("BACKDIAL_REQUIRE_CHROMIUM") == "1" {
		t.Fatal(none + ", or unset BACKDIAL_REQUIRE_CHROMIUM")
	}
	t.Skip(none)
	return ""
}

// A Tab shows a page, in a browser of its own.
type Tab struct {
	home string
	kill func()
}

// Open shows url, until the tab is killed or t ends.
func Open(t testing.TB, browser, url string) *Tab {
	t.Helper()
	home := t.TempDir()
	// No QUIC flag is needed, and --disable-quic would disable WebTransport.
	cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-breakpad", "--enable-logging=stderr", "--remote-debugging-port=0", "--user-data-dir="+home, url)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// The browser's many processes form one group, so that they can be killed together.
	// Wait returns when the last of them has closed the output.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("%s says:\n%s", browser, withoutNoise(output.String()))
		}
	})
	return &Tab{home, kill}
}

// Kill ends the browser without a goodbye.
func (tab *Tab) Kill() { tab.kill() }

// withoutNoise removes what Chromium prints on a machine without a desktop.
func withoutNoise(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		if !strings.Contains(line, "dbus") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Await evaluates a JavaScript expression in the page until it is true.
func (tab *Tab) Await(t testing.TB, expression string) {
	t.Helper()
	c := tab.inspect(t)
	defer c.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var answer struct {
			Result struct{ Value any }
		}
		call(t, c, "Runtime.evaluate", map[string]any{"expression": expression}, &answer)
		if answer.Result.Value == true {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v after %v", expression, answer.Result.Value, patience)
		}
	}
}

// Picture returns a picture of the page, as PNG.
func (tab *Tab) Picture(t testing.TB, width, height int) []byte {
	t.Helper()
	c := tab.inspect(t)
	defer c.Close()
	size := map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}
	call(t, c, "Emulation.setDeviceMetricsOverride", size, nil)
	var answer struct{ Data []byte }
	call(t, c, "Page.captureScreenshot", map[string]any{}, &answer)
	return answer.Data
}

// inspect connects to the page with the DevTools protocol.
func (tab *Tab) inspect(t testing.TB) *websocket.Conn {
	t.Helper()
	deadline := time.Now().Add(patience)
	for ; time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		url, err := tab.page()
		if err != nil {
			continue
		}
		c, _, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			continue
		}
		c.SetReadDeadline(deadline)
		return c
	}
	t.Fatal("the browser cannot be inspected after", patience)
	return nil
}

// page returns the URL for inspecting the page.
func (tab *Tab) page() (string, error) {
	port, err := os.ReadFile(filepath.Join(tab.home, "DevToolsActivePort"))
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(port), "\n")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://127.0.0.1:" + first + "/json/list")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var targets []struct{ Type, WebSocketDebuggerURL string }
	if err := json.NewDecoder(answer.Body).Decode(&targets); err != nil {
		return "", err
	}
	for _, target := range targets {
		if target.Type == "page" {
			return target.WebSocketDebuggerURL, nil
		}
	}
	return "", fmt.Errorf("no page among %d", len(targets))
}

// call makes the browser do something, and waits for its answer.
func call(t testing.TB, c *websocket.Conn, method string, params, result any) {
	t.Helper()
	err := c.WriteJSON(map[string]any{"id": 1, "method": method, "params": params})
	var answer struct {
		ID     int
		Result json.RawMessage
		Error  any
	}
	for err == nil && answer.ID == 0 { // skips events
		err = c.ReadJSON(&answer)
	}
	if err == nil && answer.Error != nil {
		err = fmt.Errorf("%v", answer.Error)
	}
	if err == nil && result != nil {
		err = json.Unmarshal(answer.Result, result)
	}
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}
