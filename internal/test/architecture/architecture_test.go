// Package architecture tests which packages import which.
package architecture

import (
	"go/ast"
	"go/parser"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/backdial/backdial/"

// isImplementation reports whether pkg is a package that only defaults and programs may name.
func isImplementation(pkg string) bool {
	dir, name := path.Split(strings.TrimPrefix(pkg, module))
	return (dir == "mux/" || dir == "carrier/") && !strings.HasSuffix(name, "test")
}

// isForTests reports whether file belongs to a suite, a benchmark or a program that
// tests.
func isForTests(file string) bool {
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if name := path.Base(dir); strings.HasSuffix(name, "test") || name == "bench" || name == "cmd" {
			return true
		}
	}
	return false
}

// TestImports reads the imports of every non-test file.
func TestImports(t *testing.T) {
	files := 0
	eachParsed(t, parser.ImportsOnly, func(name string, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		files++
		for _, spec := range file.Imports {
			pkg, _ := strconv.Unquote(spec.Path.Value)
			if why := forbidden(name, pkg); why != "" {
				t.Errorf("%s imports %s: %s", name, pkg, why)
			}
		}
	})
	if files < 20 {
		t.Errorf("only %d files were read", files)
	}
}

// forbidden returns why file may not import pkg, or "".
func forbidden(file, pkg string) string {
	in := func(folder string) bool { return strings.HasPrefix(file, folder) }
	is := func(folder string) bool { return strings.HasPrefix(pkg, module+folder) }
	switch {
	case in("transport/") && !strings.HasPrefix(file, "transport/defaults") && isImplementation(pkg):
		return "only the defaults name an implementation"
	case (in("fleet/") || in("rhttp/") || in("cluster/") || in("metrics/")) && isImplementation(pkg):
		return "packages on top of transport let their users choose"
	case (in("mux/") || in("carrier/") || in("transport/")) && (is("fleet") || is("rhttp") || is("cluster") || is("metrics")),
		(in("fleet/") || in("rhttp/")) && is("cluster"),
		(in("mux/") || in("carrier/")) && is("transport"):
		return "the layer below does not know the one above"
	case in("mux/") && is("carrier/"), in("carrier/") && is("mux"):
		return "a multiplexer knows no carrier, but what carriers may offer; a carrier knows no multiplexer"
	case (path.Dir(file) == "mux" || path.Dir(file) == "carrier") && strings.HasPrefix(pkg, module) && !is("redact"):
		return "a contract depends on nothing, but on how an error shows what a peer says"
	case (is("internal/test/") || is("backdialtest")) && !isForTests(file):
		return "the product does not link what tests use"
	case strings.HasPrefix(pkg, "github.com/prometheus/") && !in("metrics/"),
		strings.HasPrefix(pkg, "github.com/prometheus/") && in("metrics/otel/"),
		strings.HasPrefix(pkg, "go.opentelemetry.io/") && !in("metrics/otel/"):
		return "a program without metrics or traces must not link their libraries"
	case strings.HasPrefix(pkg, "github.com/nats-io/nats-server/") && !in("cluster/natsserver/") && !in("examples/cluster/") && !in("bench/"),
		strings.HasPrefix(pkg, "github.com/nats-io/") && !in("cluster/nats") && !in("examples/cluster/") && !in("bench/"):
		return "a program with one server, or with a separate engine, must not link the libraries of an engine"
	case strings.HasSuffix(pkg, "/pkg/errors"), pkg == "math/rand", strings.Contains(pkg, "stretchr/testify"):
		return "the standard library has it"
	}
	return ""
}

func TestForbidden(t *testing.T) {
	for _, test := range []struct {
		file, pkg string
		want      bool
	}{
		{"transport/server.go", "mux", false},
		{"transport/server.go", "mux/yamuxmux", true},
		{"transport/server.go", "carrier/webtransport", true},
		{"transport/defaults.go", "carrier/ws", false},
		{"transport/defaults_qmux.go", "mux/qmux", false},
		{"transport/transporttest/promises.go", "mux/muxtest", false},
		{"mux/yamuxmux/wire.go", "carrier/ws", true},
		{"mux/nativemux/session.go", "carrier", false},
		{"carrier/webtransport/conn.go", "mux", true},
		{"carrier/ws/dial.go", "transport", true},
		{"mux/mux.go", "mux/internal/engine", true},
		{"mux/qmux/session.go", "internal/test/leak", true},
		{"mux/muxtest/pair.go", "internal/test/testnet", false},
		{"bench/harness/idle.go", "internal/test/leak", false},
		{"metrics/collector.go", "backdialtest", true},
		{"fleet/dial.go", "transport", false},
		{"fleet/dial.go", "mux/yamuxmux", true},
		{"transport/server.go", "fleet", true},
		{"transport/client.go", "cluster", true},
		{"fleet/proxy.go", "cluster", true},
		{"cluster/dial.go", "fleet", false},
		{"cluster/peers.go", "carrier/ws", true},
	} {
		if got := forbidden(test.file, module+test.pkg) != ""; got != test.want {
			t.Errorf("%s imports %s: forbidden %v, want %v", test.file, test.pkg, got, test.want)
		}
	}
}

// TestForbiddenLibraries is TestForbidden for other modules.
func TestForbiddenLibraries(t *testing.T) {
	for _, test := range []struct {
		file, pkg string
		want      bool
	}{
		{"transport/trace.go", "github.com/prometheus/client_golang/prometheus", true},
		{"metrics/collector.go", "github.com/prometheus/client_golang/prometheus", false},
		{"metrics/collector.go", "go.opentelemetry.io/otel/trace", true},
		{"metrics/otel/trace.go", "go.opentelemetry.io/otel/trace", false},
		{"metrics/otel/trace.go", "github.com/prometheus/client_golang/prometheus", true},
		{"transport/outcome/outcome.go", "go.opentelemetry.io/otel/trace", true},
		{"cluster/natsregistry/registry.go", "github.com/nats-io/nats.go", false},
		{"cluster/natsserver/server.go", "github.com/nats-io/nats-server/v2/server", false},
		{"cluster/natsregistry/registry.go", "github.com/nats-io/nats-server/v2/server", true},
		{"cluster/clustertest/replica.go", "github.com/nats-io/nats.go", true},
		{"cluster/dial.go", "github.com/nats-io/nuid", true},
		{"examples/cluster/main.go", "github.com/nats-io/nats-server/v2/server", false},
		{"examples/echo/main.go", "github.com/nats-io/nats.go", true},
	} {
		if got := forbidden(test.file, test.pkg) != ""; got != test.want {
			t.Errorf("%s imports %s: forbidden %v, want %v", test.file, test.pkg, got, test.want)
		}
	}
}

// TestRequired checks that the module does not even require those libraries, nor those
// that draw the plots of benchmarks.
func TestRequired(t *testing.T) {
	required, err := os.ReadFile(path.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"prometheus", "opentelemetry", "nats-io", "libp2p", "gonum", "x/perf", "fonts"} {
		if strings.Contains(string(required), no) {
			t.Errorf("go.mod names %s", no)
		}
	}
}

// linked returns the packages that a program links if it uses packages of the module in
// dir. The first of packages may be flags of go list.
func linked(t *testing.T, dir string, packages ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, packages...)...)
	cmd.Dir, cmd.Stderr = path.Join(root, dir), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// TestLinked checks that programs do not link what they do not use: tests' libraries,
// other multiplexers, QUIC, a NATS server.
func TestLinked(t *testing.T) {
	tests := []string{"goleak", "nettest", "testing"}
	for _, test := range []struct {
		dir      string
		packages []string
		has      string // or else the list is not one of linked packages
		no       []string
	}{
		{".", []string{"./bench/device/qmux"}, module + "mux/qmux", []string{"regexp", "/fleet", "/rhttp"}},
		{".", []string{"-tags=backdialomitqmux", "./bench/device/yamux"}, module + "mux/yamuxmux", []string{"mux/qmux"}},
		{".", []string{"./transport", "./fleet", "./rhttp", "./cluster"}, module + "carrier/ws",
			append([]string{"quic-go", "xtaci", "hashicorp", "smuxmux", "/webtransport", "nats-io"}, tests...)},
		{"cluster/natsregistry", []string{"."}, "github.com/nats-io/nats.go", append([]string{"nats-server"}, tests...)},
		{"cluster/natsserver", []string{"."}, "github.com/nats-io/nats-server/v2/server", append([]string{"nats.go"}, tests...)},
	} {
		packages := linked(t, test.dir, test.packages...)
		if !slices.Contains(packages, test.has) {
			t.Errorf("%s: the list is not one of linked packages", test.dir)
		}
		for _, pkg := range packages {
			for _, no := range test.no {
				if strings.Contains(pkg, no) {
					t.Errorf("%s: %s links %s", test.dir, test.packages, pkg)
				}
			}
		}
	}
}
