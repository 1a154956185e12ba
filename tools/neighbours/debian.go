package neighbours

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// ErrNotDebian says that a neighbour comes from Debian packages and this machine has no apt-get.
var ErrNotDebian = errors.New("it comes from Debian packages and apt-get is not here: put one on PATH")

// debian is a program in a Debian package. It is unpacked, with the libraries it needs, without installing anything.
type debian struct{ name, pkg, program string }

func debianRecipe(d debian, least version, args ...string) recipe {
	return recipe{
		name: d.name, least: least, args: args, about: "some seconds", madeAs: "unpacked",
		maker:   d.unpack,
		dirName: func() (string, error) { return d.name + "-" + distribution() + "-" + runtime.GOARCH, nil },
	}
}

func (d debian) unpack(ctx context.Context, dir string, log io.Writer) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return ErrNotDebian
	}
	apt, err := newApt(dir)
	if err != nil {
		return err
	}
	packages, err := apt.missing(ctx, d.pkg)
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "%s: unpacking %s\n", d.name, strings.Join(packages, ", "))
	if err := apt.unpack(ctx, packages, filepath.Join(dir, "root")); err != nil {
		return err
	}
	return launcher(dir, d.name, d.program)
}

// apt asks Debian's archive with lists of its own, so that it needs neither root nor a machine that was updated.
type apt struct{ state string }

func newApt(dir string) (apt, error) {
	a := apt{filepath.Join(dir, ".apt")}
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(a.state, sub), 0o755); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (a apt) run(ctx context.Context, args ...string) (string, error) {
	own := []string{
		"-o", "Dir::State::lists=" + filepath.Join(a.state, "lists"), "-o", "Dir::Cache=" + filepath.Join(a.state, "cache"),
		"-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=",
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(own, args...)...)
	cmd.Dir = filepath.Join(a.state, "debs")
	printed, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, printed)
	}
	return string(printed), nil
}

var wouldInstall = regexp.MustCompile(`(?m)^Inst (\S+) `)

// missing lists the package and what it needs that is not installed here, by a dry run.
func (a apt) missing(ctx context.Context, name string) ([]string, error) {
	if _, err := a.run(ctx, "update"); err != nil {
		return nil, err
	}
	printed, err := a.run(ctx, "install", "--simulate", "--reinstall", "--no-install-recommends", name)
	if err != nil {
		return nil, err
	}
	packages := []string{}
	for _, m := range wouldInstall.FindAllStringSubmatch(printed, -1) {
		packages = append(packages, m[1])
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("apt-get would install nothing for %s:\n%s", name, printed)
	}
	return packages, nil
}

func (a apt) unpack(ctx context.Context, packages []string, into string) error {
	if _, err := a.run(ctx, append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(a.state, "debs", "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if printed, err := exec.CommandContext(ctx, "dpkg", "-x", deb, into).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg -x %s: %w\n%s", filepath.Base(deb), err, printed)
		}
	}
	return os.RemoveAll(a.state)
}

// launcher writes a script beside the unpacked files that runs the program with its own libraries. It execs, so that
// the process that was started is the program itself.
func launcher(dir, name, program string) error {
	if _, err := os.Stat(filepath.Join(dir, "root", program)); err != nil {
		return fmt.Errorf("the package holds no %s: %w", program, err)
	}
	script := `#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
libraries=
for dir in "$root"/usr/lib/*-linux-* "$root"/lib/*-linux-*; do
  [ -d "$dir" ] && libraries="$libraries${libraries:+:}$dir"
done
LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$root/` + program + `" "$@"
`
	return os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755)
}

// distribution names the release whose libraries the unpacked program fits, such as "debian12".
func distribution() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return runtime.GOOS
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			fields[key] = strings.Trim(value, `"`)
		}
	}
	return fields["ID"] + fields["VERSION_ID"]
}
