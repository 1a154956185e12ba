package manifest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/process"
)

// Helm says how `helm template` renders a chart.
type Helm struct {
	// Chart is the directory of the chart in the repository; the step's path without a word. What it depends on must lie in
	// its charts directory.
	Chart string `yaml:"chart,omitempty"`
	// Release is the name the chart was installed under.
	Release string `yaml:"release"`
	// Values are files of the repository, the last one wins.
	Values []string `yaml:"values,omitempty"`
	// Namespace is what the chart sees as its namespace; the step's without a word.
	Namespace string `yaml:"namespace,omitempty"`
	// KubeVersion is what the chart sees as the cluster's version, such as 1.37; helm's own idea without a word.
	KubeVersion string `yaml:"kube_version,omitempty"`
	// APIVersions are those that the chart may look for, such as monitoring.coreos.com/v1.
	APIVersions []string `yaml:"api_versions,omitempty"`
}

const (
	maxStderr   = 16 << 10
	helmTime    = time.Minute
	helmClosing = 2 * time.Second
)

var (
	versionForm    = regexp.MustCompile(`^v?[0-9]+\.[0-9]+(\.[0-9]+)?([+-][0-9A-Za-z.+-]{1,60})?$`)
	apiVersionForm = regexp.MustCompile(`^[a-z0-9][a-z0-9./-]{0,200}(/[A-Z][A-Za-z]{0,60})?$`)
)

func (r *Revert) checkHelm() error {
	h := r.Helm
	switch {
	case h == nil && r.Render == helm:
		return errors.New("helm: is required with render: helm, as the release's name is")
	case h == nil:
		return nil
	case r.Render != "" && r.Render != auto && r.Render != helm:
		return fmt.Errorf("helm: does not go with render: %s", r.Render)
	}
	failed := []error{cluster.CheckNamespace("helm.release", h.Release)}
	if h.Chart != "" {
		failed = append(failed, checkPath("helm.chart", h.Chart))
	}
	for n, file := range h.Values {
		failed = append(failed, checkPath(fmt.Sprintf("helm.values[%d]", n), file))
	}
	if h.Namespace != "" {
		failed = append(failed, cluster.CheckNamespace("helm.namespace", h.Namespace))
	}
	if h.KubeVersion != "" && !versionForm.MatchString(h.KubeVersion) {
		failed = append(failed, fmt.Errorf("helm.kube_version: %.40q is no version such as 1.37", h.KubeVersion))
	}
	for n, version := range h.APIVersions {
		if !apiVersionForm.MatchString(version) {
			failed = append(failed, fmt.Errorf("helm.api_versions[%d]: %.80q is no API version", n, version))
		}
	}
	return errors.Join(failed...)
}

// template renders a chart by the helm program, twice: a chart that draws lots or reads the clock has no way back by its
// source.
func (r *Revert) template(ctx context.Context, t *tree, at string) ([]*unstructured.Unstructured, error) {
	if r.Helm == nil {
		return nil, errors.New("it is a chart: `helm: {release: …}` is required")
	}
	program, err := exec.LookPath("helm")
	if err != nil {
		return nil, errors.New("there is no helm program on the PATH: use the image that has it, or render the chart into the repository")
	}
	chart := path.Clean(cmp.Or(r.Helm.Chart, at))
	place, err := os.MkdirTemp("", "astern-helm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(place)
	if err := r.unpack(ctx, t, chart, filepath.Join(place, "repository")); err != nil {
		return nil, err
	}
	first, err := r.run(ctx, program, place, chart)
	if err != nil {
		return nil, err
	}
	second, err := r.run(ctx, program, place, chart)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the chart renders something else each time: it draws random values or reads the clock, so this commit does not say what ran; use helm's own record")
	}
	return parsed(first)
}

// unpack writes the chart and its values to a directory of our own.
func (r *Revert) unpack(ctx context.Context, t *tree, chart, into string) error {
	for _, need := range append([]string{chart}, r.Helm.Values...) {
		if err := t.want(ctx, path.Clean(need)); err != nil {
			return err
		}
	}
	if !t.isFile(path.Join(chart, "Chart.yaml")) {
		return fmt.Errorf("%s: has no Chart.yaml", chart)
	}
	names := t.under(chart)
	for _, file := range r.Helm.Values {
		if !t.isFile(path.Clean(file)) {
			return fmt.Errorf("values: there is no file %s at this commit", file)
		}
		names = append(names, path.Clean(file))
	}
	for _, name := range names {
		at, err := filepath.Localize(name)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		at = filepath.Join(into, at)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(at, t.files[name], 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (r *Revert) run(ctx context.Context, program, place, chart string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, helmTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, r.arguments(place, chart)...)
	cmd.Dir, cmd.Env = place, environment(place)
	out, said := &bounded{limit: maxRendered, full: cancel}, &bounded{limit: maxStderr}
	cmd.Stdout, cmd.Stderr = out, said
	err := process.Run(cmd, helmClosing)
	text := strings.ReplaceAll(printable(said.kept.Bytes()), filepath.Join(place, "repository")+"/", "")
	switch {
	case out.over:
		return nil, errTooMuch
	case ctx.Err() != nil:
		return nil, fmt.Errorf("helm template was ended: %w", ctx.Err())
	case err != nil && strings.Contains(text, "missing in charts/"):
		return nil, actions.Permanent(fmt.Errorf("helm template: %s; dependencies are not downloaded: run `helm dependency build` and commit the charts directory", text))
	case err != nil:
		return nil, fmt.Errorf("helm template: %s (%w)", text, err)
	}
	return out.kept.Bytes(), nil
}

// arguments leave out hooks and CRDs: neither belongs to what a release's rollback applies.
func (r *Revert) arguments(place, chart string) []string {
	args := []string{"template", r.Helm.Release, filepath.Join(place, "repository", filepath.FromSlash(chart)),
		"--namespace", cmp.Or(r.Helm.Namespace, r.Namespace), "--no-hooks"}
	for _, file := range r.Helm.Values {
		args = append(args, "--values", filepath.Join(place, "repository", filepath.FromSlash(path.Clean(file))))
	}
	if r.Helm.KubeVersion != "" {
		args = append(args, "--kube-version", r.Helm.KubeVersion)
	}
	for _, version := range r.Helm.APIVersions {
		args = append(args, "--api-versions", version)
	}
	return args
}

// environment is all that helm gets: directories of its own, so no plugin, no cluster and no repository of the machine.
func environment(place string) []string {
	own := func(name string) string { return filepath.Join(place, name) }
	return []string{"HOME=" + place, "KUBECONFIG=" + own("no-cluster"), "HELM_CACHE_HOME=" + own("cache"), "HELM_CONFIG_HOME=" + own("config"),
		"HELM_DATA_HOME=" + own("data"), "HELM_PLUGINS=" + own("plugins"), "HELM_REPOSITORY_CONFIG=" + own("repositories.yaml"),
		"HELM_REPOSITORY_CACHE=" + own("repository-cache"), "HELM_REGISTRY_CONFIG=" + own("registry.json")}
}

// bounded keeps the beginning of what a program prints, and may end it when that is too much.
type bounded struct {
	kept  bytes.Buffer
	limit int
	over  bool
	full  func()
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.kept.Len()
	if len(p) <= room {
		return b.kept.Write(p)
	}
	b.over = true
	b.kept.Write(p[:room])
	if b.full != nil {
		b.full()
	}
	return len(p), nil
}
