// Package versions tests what two versions of this library say to each other.
package versions

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testcert"
)

// root is the module's folder, relative to this package.
const root = "../../.."

// peer is the package of the programs that meet.
const peer = "internal/test/versions/peer"

// patience is more than a peer takes, unless it hangs.
const patience = time.Minute

// TestVersions runs this version against the last one, both ways, over every stack that
// both have.
func TestVersions(t *testing.T) {
	long.Only(t)
	leak.Check(t)
	dependsOn(".git/HEAD", ".git/packed-refs", ".git/refs/tags")
	tag := lastVersion(t)
	dependsOn(sources(t)...)
	ours := build(t, root)
	theirs := build(t, checkout(t, tag))
	common := stacks(t, ours)
	last := stacks(t, theirs)
	for _, s := range last {
		if !slices.Contains(common, s) {
			t.Errorf("%s has %s, and this version does not", tag, s)
		}
	}
	common = slices.DeleteFunc(common, func(s string) bool { return !slices.Contains(last, s) })
	for _, pair := range []struct{ name, server, client string }{
		{"new server and old client", ours, theirs},
		{"old server and new client", theirs, ours},
	} {
		for _, s := range common {
			t.Run(pair.name+"/"+s, func(t *testing.T) { meet(t, pair.server, pair.client, s) })
		}
	}
}

// TestPeers runs two peers of this version, to test them.
func TestPeers(t *testing.T) {
	leak.Check(t)
	dependsOn(sources(t)...)
	ours := build(t, root)
	for _, s := range stacks(t, ours) {
		t.Run(s, func(t *testing.T) { meet(t, ours, ours, s) })
	}
}

func TestSources(t *testing.T) {
	files := sources(t)
	dependsOn(files...)
	for _, name := range []string{peer + "/main.go", "transport/server.go", "mux/qmux/session.go", "go.mod"} {
		if !slices.Contains(files, name) {
			t.Errorf("a peer is made of %q, and not of %s", files, name)
		}
	}
}

// TestCached expects the go command to run these tests again after a new tag, and after a
// change of a file that the peers are made of.
func TestCached(t *testing.T) {
	long.Only(t)
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("this is no checkout:", err)
	}
	dir := t.TempDir()
	do := func(name string, args ...string) string {
		t.Helper()
		out, err := output(t, dir, name, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, err := output(t, root, "git", "clone", "--quiet", "--shared", "--no-tags", ".", dir); err != nil {
		t.Fatal(err)
	}
	isCached := func() bool {
		t.Helper()
		return strings.Contains(do("go", "test", "-run", "^TestVersions$|^TestSources$", "./internal/test/versions"), "(cached)")
	}
	change := map[string]func(){
		"tag": func() { do("git", "tag", "v0.0.1", do("git", "rev-list", "--max-parents=0", "HEAD")) },
		"source": func() {
			name := filepath.Join(dir, "transport/doc.go")
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, append(text, "\n// It has changed.\n"...), 0o644); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range change {
		await.Until(t, "a result to be repeated", isCached) // not while files are seconds old
		change()
		if isCached() {
			t.Errorf("%s: the result is the one from before", name)
		}
	}
}

// lastVersion returns the newest tag of the root's module that HEAD comes after.
func lastVersion(t *testing.T) string {
	t.Helper()
	tag, err := output(t, root, "git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
	if err != nil {
		t.Skip("there is no version before this one:", err)
	}
	return tag
}

// dependsOn makes the result of a test depend on files below root that only the test's
// commands read. Without it the go command would not notice a change: it repeats a cached
// result until a file changes that the test itself has looked at. In a linked worktree, whose
// .git is elsewhere, run the tests with -count=1.
func dependsOn(files ...string) {
	for _, name := range files {
		os.Stat(filepath.Join(root, name)) // a missing file counts, too
	}
}

// sources returns the files that a peer of this version is made of.
func sources(t *testing.T) []string {
	t.Helper()
	const format = `{{if and .Module .Module.Main}}{{$dir := .ImportPath}}{{range .GoFiles}}{{$dir}}/{{.}} {{end}}{{end}}`
	list, err := output(t, root, "go", "list", "-deps", "-f", format, "./"+peer)
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(strings.ReplaceAll(list, "github.com/backdial/backdial/", ""))
	return append(files, "go.mod")
}

// checkout returns a folder with the files of a tag.
func checkout(t *testing.T, tag string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if _, err := output(t, root, "git", "clone", "--quiet", "--shared", "--no-checkout", ".", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := output(t, dir, "git", "checkout", "--quiet", tag); err != nil {
		t.Fatal(err)
	}
	return dir
}

// build builds the peer of the version in dir.
func build(t *testing.T, dir string) (program string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, peer)); err != nil {
		t.Skip("that version is older than this test:", err)
	}
	program = filepath.Join(t.TempDir(), "peer.exe")
	if _, err := output(t, dir, "go", "build", "-o", program, "./"+peer); err != nil {
		t.Fatal(err)
	}
	return program
}

func stacks(t *testing.T, program string) []string {
	t.Helper()
	names, err := output(t, ".", program, "-stacks")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(names)
}

// meet makes a server and a client do everything, and expects them to report the same
// protocol.
func meet(t *testing.T, server, client, stack string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ca := testcert.NewCA(t)
	cert, key := testcert.Files(t, ca.Issue(t, "127.0.0.1"))
	serving := start(t, ctx, server, "-stack", stack, "-cert", cert, "-key", key)
	url, _ := serving.out.ReadString('\n')
	visiting := start(t, ctx, client, "-stack", stack, "-ca", ca.File(t), "-connect", strings.TrimSpace(url))
	spoken, _ := visiting.out.ReadString('\n')
	if spoken == "" {
		cancel() // the client has failed
	}
	heard, _ := serving.out.ReadString('\n')
	serving.end(t, "server")
	visiting.end(t, "client")
	if heard != spoken {
		t.Errorf("the server speaks %q, the client %q", heard, spoken)
	}
}

// A process is a running peer.
type process struct {
	cmd   *exec.Cmd
	in    io.Closer
	out   *bufio.Reader
	wrong bytes.Buffer
}

func start(t *testing.T, ctx context.Context, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(ctx, program, args...)}
	p.cmd.Stderr = &p.wrong
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end lets the process end, and expects no complaint.
func (p *process) end(t *testing.T, who string) {
	t.Helper()
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the %s: %v: %s", who, err, &p.wrong)
	}
}

// output returns the output of a command in dir.
func output(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(complaints.Bytes()))
	}
	return strings.TrimSpace(string(out)), err
}
