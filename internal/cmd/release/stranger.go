package main

import (
	"archive/zip"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// apart isolates the go command from the settings of this machine, and from checksums of
// versions that are not published yet.
var apart = []string{"GOENV=off", "GOPRIVATE=", "GONOPROXY=", "GOSUMDB=off", "GOWORK=off", "GOTOOLCHAIN=local"}

// try builds a program with each published module, in dir, as a user does who gets the
// last commit under a version from a module proxy.
func try(ctx context.Context, root, version string, modules []module, dir string) error {
	ordered := inOrder(modules)
	proxy, err := serve(ctx, root, version, ordered, dir)
	if err != nil {
		return err
	}
	cache, err := run(ctx, root, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	env := []string{
		// The machine's own cache must never contain a version that is not published yet.
		"GOMODCACHE=" + filepath.Join(dir, "cache"),
		"GOPROXY=" + fileURL(proxy) + "," + fileURL(filepath.Join(cache, "cache", "download")) + ",off",
		"GOFLAGS=-mod=mod -modcacherw -trimpath",
	}
	env = append(env, apart...)
	for i, m := range ordered {
		s := stranger{filepath.Join(dir, fmt.Sprint("stranger-", i)), env}
		if err := s.use(ctx, m, version, modules); err != nil {
			return fmt.Errorf("%s cannot be used: %w", m.Module.Path, err)
		}
	}
	return nil
}

// serve makes a file-based module proxy in dir, as public proxies are made: from what the
// go command downloads from a repository. Here that is a copy of root, which has the tags
// of the version.
func serve(ctx context.Context, root, version string, modules []module, dir string) (proxy string, err error) {
	repository := filepath.Join(dir, "repository")
	if _, err := git(ctx, root, "clone", "--quiet", "--no-checkout", ".", repository); err != nil {
		return "", err
	}
	download := []string{"mod", "download"}
	for _, m := range modules {
		if _, err := git(ctx, repository, "-c", "tag.gpgSign=false", "tag", m.tag(version)); err != nil {
			return "", err
		}
		download = append(download, m.Module.Path+"@"+version)
	}
	cache := filepath.Join(dir, "proxy")
	env := []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + fileURL(repository) + ".insteadOf",
		"GIT_CONFIG_VALUE_0=https://" + modules[0].Module.Path,
		"GOMODCACHE=" + cache, "GOPROXY=direct", "GOFLAGS=-modcacherw",
	}
	_, err = run(ctx, dir, append(env, apart...), "go", download...)
	if err != nil {
		return "", err
	}
	proxy = filepath.Join(cache, "cache", "download")
	for _, m := range modules {
		if err := slim(filepath.Join(proxy, m.Module.Path, "@v", version+".zip")); err != nil {
			return "", fmt.Errorf("%s: %w", m.Module.Path, err)
		}
	}
	return proxy, nil
}

// largest is the size limit for files of a module. Every user of the module downloads
// them.
const largest = 256 << 10

// slim checks that the files in a module's zip are small.
func slim(name string) error {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, f := range archive.File {
		if f.UncompressedSize64 > largest {
			return fmt.Errorf("%s has %d KiB, want %d at most: move it to a module for development", f.Name, f.UncompressedSize64>>10, largest>>10)
		}
	}
	return nil
}

func fileURL(name string) string {
	name = filepath.ToSlash(name)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/folder
	}
	return (&url.URL{Scheme: "file", Path: name}).String()
}

// A stranger builds programs in a folder of its own.
type stranger struct {
	dir string
	env []string
}

// use gets a module, and builds a program with all of its packages that can be imported.
func (s stranger) use(ctx context.Context, m module, version string, modules []module) error {
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return err
	}
	if err := s.write("go.mod", "module stranger.example/program\n\ngo "+m.Go+"\n"); err != nil {
		return err
	}
	command := func(args ...string) (string, error) { return run(ctx, s.dir, s.env, "go", args...) }
	if _, err := command("get", m.Module.Path+"@"+version); err != nil {
		return err
	}
	packages, err := command("list", "-f", `{{if ne .Name "main"}}{{.ImportPath}}{{end}}`, m.Module.Path+"/...")
	if err != nil {
		return err
	}
	program := "package main\n\n"
	for pkg := range strings.FieldsSeq(packages) {
		if !slices.Contains(strings.Split(pkg, "/"), "internal") {
			program += fmt.Sprintf("import _ %q\n", pkg)
		}
	}
	if err := s.write("main.go", program+"\nfunc main() {}\n"); err != nil {
		return err
	}
	// tidy also finds imports of those packages' tests.
	for _, args := range [][]string{{"mod", "tidy"}, {"build", "-o", "program.exe", "."}} {
		if _, err := command(args...); err != nil {
			return err
		}
	}
	used, err := command("list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", ".")
	if err != nil {
		return err
	}
	for line := range strings.Lines(used) {
		path, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, ours := byPath(modules, path); ours && v != version {
			return fmt.Errorf("it brings %s %s", path, v)
		}
	}
	return nil
}

func (s stranger) write(name, text string) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644)
}
