package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// apart is what keeps the go command from the settings of this machine, and from checksums of
// versions that are not published yet.
var apart = []string{"GOENV=off", "GOPRIVATE=", "GONOPROXY=", "GOSUMDB=off", "GOWORK=off", "GOTOOLCHAIN=local"}

// try builds a program of each published module, in dir, like somebody who gets the last
// commit under a version from a module proxy.
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
		// The machine's own cache must never see a version that is not published yet.
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

// serve makes a module proxy of files in dir, as public ones are made: of what the go command
// downloads from a repository. That is a copy of root here, which has the tags of the version.
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

// largest is how large a file of a module may be: everybody who uses the module downloads
// it.
const largest = 256 << 10

// slim expects of a module's zip that its files are small, and that the licence is one of them.
func slim(name string) error {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer archive.Close()
	licensed := false
	for _, f := range archive.File {
		licensed = licensed || path.Base(f.Name) == "LICENSE"
		if f.UncompressedSize64 > largest {
			return fmt.Errorf("%s has %d KiB, want %d at most: have it in a module for development", f.Name, f.UncompressedSize64>>10, largest>>10)
		}
	}
	if !licensed {
		return errors.New("it has no LICENSE")
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

// A stranger has a folder for a program of his own.
type stranger struct {
	dir string
	env []string
}

// use gets a module, and builds a program with every package of it that programs can import.
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
	// tidy finds what the tests of those packages import too.
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
