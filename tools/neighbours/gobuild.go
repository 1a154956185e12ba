package neighbours

import (
	"bufio"
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
	"time"
)

// project is a tools/<dir> whose go.mod pins a module that neighbours are built from.
type project struct {
	dir, module string
	// tags and stamp go to `go build`; stamp tells the program the version it was built from.
	tags  string
	stamp func(pinned string) string
	// atRoot says that the program is the module's own package, not one of cmd/.
	atRoot bool
}

var (
	prometheus = project{dir: "prometheus", module: "github.com/prometheus/prometheus", tags: "remove_all_sd", stamp: stampPrometheus}
	// Alertmanager has no such tag; it is built with it all the same, so that it shares what was compiled for Prometheus.
	alertmanager = project{dir: "alertmanager", module: "github.com/prometheus/alertmanager", tags: "remove_all_sd", stamp: stampPrometheus}
	kubernetes   = project{dir: "kubernetes", module: "k8s.io/kubernetes", stamp: stampKubernetes}
	flux         = project{dir: "flux", module: "github.com/fluxcd/kustomize-controller", stamp: stampNothing, atRoot: true}
)

func stampPrometheus(pinned string) string {
	return " -X github.com/prometheus/common/version.Version=" + released(pinned)
}

func stampNothing(string) string { return "" }

// stampKubernetes names major and minor too: clients compare them.
func stampKubernetes(pinned string) string {
	parts := strings.Split(strings.TrimPrefix(pinned, "v"), ".")
	const at = " -X k8s.io/component-base/version."
	return at + "gitVersion=" + pinned + at + "gitMajor=" + parts[0] + at + "gitMinor=" + parts[1]
}

// goRecipe builds a program from a pinned module. It is built in the directory of the pin, without cgo.
func goRecipe(name string, from project, least version, about string) recipe {
	return recipe{
		name: name, least: least, args: []string{"--version"}, about: about, madeAs: "built",
		maker: func(ctx context.Context, dir string, log io.Writer) error {
			return from.build(ctx, name, dir, log)
		},
		dirName: func() (string, error) {
			_, pinned, err := from.pin()
			return fmt.Sprintf("%s-%s-%s-%s", name, pinned, runtime.GOOS, runtime.GOARCH), err
		},
	}
}

func (p project) build(ctx context.Context, name, dir string, log io.Writer) error {
	at, pinned, err := p.pin()
	if err != nil {
		return err
	}
	args := []string{"build", "-v", "-trimpath", "-ldflags=-s -w" + p.stamp(pinned), "-o", filepath.Join(dir, name)}
	if p.tags != "" {
		args = append(args, "-tags="+p.tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, p.program(name))...)
	cmd.Dir = at
	cmd.Env = buildEnv()
	return runBuild(cmd, name, log)
}

func (p project) program(name string) string {
	if p.atRoot {
		return p.module
	}
	return p.module + "/cmd/" + name
}

func buildEnv(more ...string) []string {
	return append(append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOTOOLCHAIN=local"), more...)
}

// installRecipe builds a program from a released module that needs no pins of ours, such as path "sigs.k8s.io/kwok/cmd/kwok".
func installRecipe(path, pinned string, least version, about string) recipe {
	name := filepath.Base(path)
	return recipe{
		name: name, least: least, args: []string{"--version"}, about: about, madeAs: "built",
		maker: func(ctx context.Context, dir string, log io.Writer) error {
			cmd := exec.CommandContext(ctx, "go", "install", "-v", "-trimpath", "-ldflags=-s -w", path+"@"+pinned)
			cmd.Env = buildEnv("GOBIN="+dir, "GOFLAGS=")
			return runBuild(cmd, name, log)
		},
		dirName: func() (string, error) {
			return fmt.Sprintf("%s-%s-%s-%s", name, pinned, runtime.GOOS, runtime.GOARCH), nil
		},
	}
}

// runBuild counts the packages that `go build -v` prints, so that a person sees the build move.
func runBuild(cmd *exec.Cmd, name string, log io.Writer) error {
	printed, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	begun, told, packages := time.Now(), time.Now(), 0
	tail := []string{}
	for lines := bufio.NewScanner(printed); lines.Scan(); packages++ {
		tail = append(tail, lines.Text())
		tail = tail[max(0, len(tail)-20):]
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			fmt.Fprintf(log, "%s: %4d packages compiled, %s\n", name, packages, time.Since(begun).Round(time.Second))
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", name, err, strings.Join(tail, "\n"))
	}
	return nil
}

// pin finds the project's directory in this checkout and the version its go.mod pins.
func (p project) pin() (dir, pinned string, err error) {
	root, err := Root()
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(root, "tools", p.dir)
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", "", err
	}
	m := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(p.module) + ` (v\S+)`).FindSubmatch(text)
	if m == nil {
		return "", "", fmt.Errorf("%s/go.mod pins no %s", dir, p.module)
	}
	return dir, string(m[1]), nil
}

// released turns a module's version into the one people know: Prometheus tags its module v0.315.0 for 3.15.0.
func released(pinned string) string {
	m := regexp.MustCompile(`^v0\.(\d)(\d\d)\.(\d+)$`).FindStringSubmatch(pinned)
	if m == nil {
		return strings.TrimPrefix(pinned, "v")
	}
	return m[1] + "." + strings.TrimPrefix(m[2], "0") + "." + m[3]
}

// Root is the directory of astern's go.mod at or above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module astern.dev/astern\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod of astern at or above the working directory: run this inside a checkout")
		}
	}
}
