//go:build unix

package proxytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// A kind is a proxy program, and what is known of it.
type kind struct {
	name   string
	config string   // the name of its configuration
	args   []string // always
	start  []string // arguments to start it, besides
	reload func(*proxy) error

	// idle returns the edit that makes the program cut connections after they were idle
	// for a time. It is nil if the program never does.
	idle func(time.Duration) edit

	// drain returns the edit that makes the program cut older sessions a time after a
	// reload. It is nil if the program cuts them at once.
	drain func(time.Duration) edit

	// garbles is whether it writes a close frame into the middle of other frames.
	garbles bool

	// asksOther is whether it asks another server when one answers 503.
	asksOther bool

	// servers returns the edit that makes it ask the servers at these addresses, in turn
	// or at random.
	servers func(addrs ...string) edit
}

// An edit changes a configuration.
type edit struct{ old, new string }

// addr stands for the server's address in the configurations.
const addr = "127.0.0.1:8080"

var kinds = []kind{{
	name:   "nginx",
	config: "nginx.conf",
	args:   []string{"-p", ".", "-c", "nginx.conf", "-e", "stderr"},
	reload: func(p *proxy) error { return p.command("-s", "reload") },
	idle: func(d time.Duration) edit {
		return edit{"proxy_read_timeout 60s;", fmt.Sprintf("proxy_read_timeout %dms;", d.Milliseconds())}
	},
	drain: func(d time.Duration) edit {
		return edit{"daemon off;", fmt.Sprintf("daemon off;\nworker_shutdown_timeout %dms;", d.Milliseconds())}
	},
	asksOther: true,
	servers: func(addrs ...string) edit {
		const end = " max_fails=0;"
		return edit{"server " + addr + end, "server " + strings.Join(addrs, end+"\nserver ") + end}
	},
}, {
	name:   "haproxy",
	config: "haproxy.cfg",
	args:   []string{"-W", "-f", "haproxy.cfg"},
	reload: func(p *proxy) error { return p.cmd.Process.Signal(syscall.SIGUSR2) },
	idle: func(d time.Duration) edit {
		return edit{"timeout tunnel 60s", fmt.Sprintf("timeout tunnel %dms", d.Milliseconds())}
	},
	drain: func(d time.Duration) edit {
		return edit{"\nglobal\n", fmt.Sprintf("\nglobal\n\thard-stop-after %dms\n", d.Milliseconds())}
	},
	asksOther: true,
	servers: func(addrs ...string) edit {
		var lines strings.Builder
		for i, a := range addrs {
			fmt.Fprintf(&lines, "server s%d %s\n", i, a)
		}
		return edit{"server one " + addr, lines.String()}
	},
}, {
	name:   "caddy",
	config: "Caddyfile",
	start:  []string{"run", "--config", "Caddyfile"},
	reload: func(p *proxy) error {
		return p.command("reload", "--config", "Caddyfile", "--address", "unix/admin.sock")
	},
	garbles: true,
	servers: func(addrs ...string) edit {
		more := ""
		if len(addrs) > 1 {
			more = " {\nfail_duration 10s\nunhealthy_status 503\n}"
		}
		return edit{"reverse_proxy " + addr, "reverse_proxy " + strings.Join(addrs, " ") + more}
	},
}}

// forEach runs a test for every kind of proxy, several at a time.
func forEach(t *testing.T, test func(*testing.T, kind)) {
	leak.Check(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			k.find(t)
			test(t, k)
		})
	}
}

// find returns the program's path.
func (k kind) find(t *testing.T) string {
	t.Helper()
	long.Only(t)
	// Debian installs some of them in a folder that is only in root's PATH.
	for _, name := range []string{k.name, filepath.Join("/usr/sbin", k.name)} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	none := fmt.Sprintf("no %s: install Debian's package of this name", k.name)
	if os.Getenv("BACKDIAL_REQUIRE_PROXIES") == "1" {
		t.Fatal(none + ", or unset BACKDIAL_REQUIRE_PROXIES")
	}
	t.Skip(none)
	return ""
}

// configuration returns the one in testdata, changed by all edits.
func (k kind) configuration(t *testing.T, edits ...edit) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", k.config))
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	for _, e := range edits {
		if n := strings.Count(config, e.old); n != 1 {
			t.Fatalf("%s has %q %d times", k.config, e.old, n)
		}
		config = strings.Replace(config, e.old, e.new, 1)
	}
	return config
}
