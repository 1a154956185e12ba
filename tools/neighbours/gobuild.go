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

// goRecipe builds a program from the module pinned in tools/<project>/go.mod. It is built there, without cgo.
func goRecipe(name, project string, least version, about string) recipe {
	return recipe{
		name: name, least: least, args: []string{"--version"}, about: about, madeAs: "built",
		maker: func(ctx context.Context, dir string, log io.Writer) error {
			return goBuild(ctx, name, project, dir, log)
		},
		dirName: func() (string, error) {
			_, pinned, err := pin(project)
			return fmt.Sprintf("%s-%s-%s-%s", name, pinned, runtime.GOOS, runtime.GOARCH), err
		},
	}
}

func goBuild(ctx context.Context, name, project, dir string, log io.Writer) error {
	module, pinned, err := pin(project)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-tags=remove_all_sd",
		"-ldflags=-s -w -X github.com/prometheus/common/version.Version="+released(pinned),
		"-o", filepath.Join(dir, name), "github.com/prometheus/"+project+"/cmd/"+name)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOTOOLCHAIN=local")
	return runBuild(cmd, name, log)
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

// pin finds tools/<project> of this checkout and the version its go.mod pins.
func pin(project string) (dir, pinned string, err error) {
	root, err := Root()
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(root, "tools", project)
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", "", err
	}
	line := regexp.MustCompile(`(?m)^\s*(?:require )?github\.com/prometheus/` + project + ` (v\S+)`)
	m := line.FindSubmatch(text)
	if m == nil {
		return "", "", fmt.Errorf("%s/go.mod pins no github.com/prometheus/%s", dir, project)
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
