package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// release makes a release of the modules in root, and prints what to do next.
func release(ctx context.Context, root, version string, out io.Writer) error {
	if _, ok := parse(version); !ok {
		return fmt.Errorf("%q is not a version, such as v0.2.0 or v0.2.0-rc.1", version)
	}
	modules, err := find(ctx, root)
	if err != nil {
		return err
	}
	if err := ready(ctx, root, version, modules); err != nil {
		return err
	}
	before, err := git(ctx, root, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if err := tagged(ctx, root, version, modules, out); err != nil {
		return errors.Join(err, undo(context.WithoutCancel(ctx), root, before, version, modules))
	}
	return nil
}

// undo returns to the commit before, and removes the tags of a version.
func undo(ctx context.Context, root, before, version string, modules []module) error {
	_, reset := git(ctx, root, "reset", "--hard", "--quiet", before)
	tags, list := tagsOf(ctx, root, version, modules)
	var remove error
	if len(tags) > 0 {
		_, remove = git(ctx, root, append([]string{"tag", "--delete"}, tags...)...)
	}
	return errors.Join(reset, list, remove)
}

// tagsOf returns the existing tags of a version.
func tagsOf(ctx context.Context, root, version string, modules []module) ([]string, error) {
	list := []string{"tag", "--list"}
	for _, m := range inOrder(modules) {
		list = append(list, m.tag(version))
	}
	tags, err := git(ctx, root, list...)
	return strings.Fields(tags), err
}

// ready returns why the current commit cannot be released.
func ready(ctx context.Context, root, version string, modules []module) error {
	// The settings of this machine may hide new files.
	changed, err := git(ctx, root, "status", "--porcelain", "--untracked-files=normal")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("commit these changes first:\n%s", changed)
	}
	if _, err := git(ctx, root, "symbolic-ref", "--quiet", "HEAD"); err != nil {
		return fmt.Errorf("no branch is checked out, so the release could not be pushed: %w", err)
	}
	tags, err := tagsOf(ctx, root, version, modules)
	if err != nil {
		return err
	}
	if len(tags) > 0 {
		return fmt.Errorf("already tagged: %s", strings.Join(tags, ", "))
	}
	if err := isNext(ctx, root, version, modules); err != nil {
		return err
	}
	if err := check(modules); err != nil {
		return err
	}
	for _, m := range inOrder(modules) {
		// This also downloads everything that the stranger needs.
		if _, err := run(ctx, filepath.Join(root, m.dir), nil, "go", "mod", "tidy", "-diff"); err != nil {
			return err
		}
	}
	return nil
}

// isNext returns an error unless a version is newer than all releases, by their tags and by the
// changelog, and what is committed comes after the last of them.
func isNext(ctx context.Context, root, version string, modules []module) error {
	tags, err := git(ctx, root, "tag", "--list")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	var tagged []string // versions, whichever module has the tag
	last := make(map[string]string)
	for tag := range strings.FieldsSeq(tags) {
		for _, m := range modules {
			if v := path.Base(tag); m.isPublished() && tag == m.tag(v) {
				tagged = append(tagged, v)
				last[v] = tag
			}
		}
	}
	if v := newest(tagged); v != "" {
		if !isNewer(version, v) {
			return fmt.Errorf("%s is not newer than %s, which has a tag", version, last[v])
		}
		if _, err := git(ctx, root, "merge-base", "--is-ancestor", last[v], "HEAD"); err != nil {
			return fmt.Errorf("what is checked out does not contain the last release: %w", err)
		}
	}
	if v := newest(headings(string(text))); v != "" {
		if !isNewer(version, v) {
			return fmt.Errorf("%s is not newer than %s, which CHANGELOG.md tells of", version, v)
		}
		if !slices.Contains(tagged, v) {
			return fmt.Errorf("CHANGELOG.md tells of %s, which has no tag here: get the tags first", v)
		}
	}
	return nil
}

// isNewer reports whether version comes after last.
func isNewer(version, last string) bool {
	return version != last && newest([]string{version, last}) == version
}

// headings returns the versions that a changelog tells of.
func headings(changelog string) (versions []string) {
	for line := range strings.Lines(changelog) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			version, _, _ := strings.Cut(strings.TrimSpace(heading), ",")
			versions = append(versions, version)
		}
	}
	return versions
}

// tagged commits the release, tries it, and tags it.
func tagged(ctx context.Context, root, version string, modules []module, out io.Writer) error {
	if err := write(ctx, root, version, modules); err != nil {
		return err
	}
	if _, err := git(ctx, root, "commit", "--quiet", "--all", "--message", "CHANGELOG, go.mod: version "+version); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "backdial-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(out, "building each module as a stranger gets it")
	if err := try(ctx, root, version, modules, dir); err != nil {
		return err
	}
	publish := []string{"git push --atomic origin HEAD"}
	for _, m := range inOrder(modules) {
		if _, err := git(ctx, root, "tag", "--annotate", "--message", m.Module.Path+" "+version, m.tag(version)); err != nil {
			return err
		}
		publish = append(publish, m.tag(version))
	}
	fmt.Fprintf(out, "%s is committed and tagged; publish it with\n\n\t%s\n", version, strings.Join(publish, " "))
	return nil
}

// write makes every go.mod require the version, and adds it to CHANGELOG.md.
func write(ctx context.Context, root, version string, modules []module) error {
	for _, m := range modules {
		edit := []string{"mod", "edit"}
		for _, r := range m.Require {
			if _, ours := byPath(modules, r.Path); ours {
				edit = append(edit, "-require="+r.Path+"@"+version)
			}
		}
		if len(edit) == 2 {
			continue
		}
		if _, err := run(ctx, filepath.Join(root, m.dir), nil, "go", edit...); err != nil {
			return err
		}
	}
	name := filepath.Join(root, "CHANGELOG.md")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	changed, err := headed(string(text), version, time.Now().UTC())
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(changed), 0o644)
}

// headed moves the Unreleased entries of a changelog under the heading of a version.
func headed(changelog, version string, day time.Time) (string, error) {
	const unreleased = "\n## Unreleased\n"
	before, after, found := strings.Cut(changelog, unreleased)
	changes, _, _ := strings.Cut("\n"+after, "\n## ")
	if !found || !strings.Contains(changes, "\n- ") {
		return "", errors.New("CHANGELOG.md has nothing under Unreleased")
	}
	return fmt.Sprintf("%s%s\n## %s, %s\n%s", before, unreleased, version, day.Format(time.DateOnly), after), nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	return run(ctx, dir, nil, "git", args...)
}

// run returns the output of a command in dir, with env added to the environment.
func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(cmd.Environ(), env...)
	// If git is interrupted, it removes its locks, which nothing else could undo.
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return cmd.Process.Kill() // on Windows
		}
		return nil
	}
	cmd.WaitDelay = 10 * time.Second
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s in %s: %w\n%s%s", strings.Join(cmd.Args, " "), dir, err, out, complaints.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}
