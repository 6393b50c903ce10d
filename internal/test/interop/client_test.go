//go:build unix

package interop

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/chromium"
)

// Settings are what a client is started with: see testdata/client.js.
type settings struct {
	URL       string            `json:"url"`
	Report    string            `json:"report"`
	Config    map[string]string `json:"config,omitempty"` // of the package: names and numbers
	Reconnect bool              `json:"reconnect,omitempty"`
	Plain     bool              `json:"plain,omitempty"` // WebSocket, as in browsers that have no WebSocketStream
}

// A kind of client is where the package runs.
type kind struct {
	name string

	// start starts a client, which lives until it is killed or t is done.
	start func(t *testing.T, s *site, what settings) (kill func())

	// run runs another program, until t is done.
	run func(t *testing.T, s *site, program string)
}

var (
	inNode     = kind{"node", startNode, runInNode}
	inChromium = kind{"chromium", startTab, runInTab}
)

// everywhere runs a test with each kind of client.
func everywhere(t *testing.T, test func(t *testing.T, k kind)) {
	for _, k := range []kind{inNode, inChromium} {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

func startTab(t *testing.T, s *site, what settings) (kill func()) {
	return openTab(t, s, "/page.html#"+url.PathEscape(encode(t, what)))
}

// openTab shows a page of the site, until it is killed or t is done.
func openTab(t *testing.T, s *site, path string) (kill func()) {
	t.Helper()
	browser := chromium.Find(t)
	packages(t)
	return chromium.Open(t, browser, s.URL+path).Kill
}

func startNode(t *testing.T, _ *site, what settings) (kill func()) {
	return runNode(t, "testdata", "node.js", encode(t, what))
}

// runNode runs a program in dir, until it is killed or t is done.
func runNode(t *testing.T, dir string, args ...string) (kill func()) {
	t.Helper()
	node := require(t, exec.LookPath, "node", "no Node: install Debian's nodejs")
	packages(t)
	polyfill, err := filepath.Abs("testdata/polyfill.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, append([]string{"--import", polyfill}, args...)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = patience
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			t.Logf("node says:\n%s", output.String())
		}
	})
	return kill
}

// packages checks that the client's packages are there.
func packages(t *testing.T) {
	t.Helper()
	stat := func(name string) (string, error) {
		_, err := os.Stat(name)
		return name, err
	}
	require(t, stat, "testdata/node_modules/@moq/qmux/package.json", "no packages: run npm ci in internal/test/interop/testdata")
}

// require returns the result of find. Without one it skips t, or fails it if the
// environment requires one.
func require(t *testing.T, find func(string) (string, error), name, otherwise string) string {
	t.Helper()
	path, err := find(name)
	switch {
	case err == nil:
	case os.Getenv("BACKDIAL_REQUIRE_NODE") == "1":
		t.Fatal(otherwise + ", or unset BACKDIAL_REQUIRE_NODE")
	default:
		t.Skip(otherwise)
	}
	return path
}

func encode(t *testing.T, what settings) string {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// patience bounds every wait, on a loaded machine under the race detector.
const patience = time.Minute
