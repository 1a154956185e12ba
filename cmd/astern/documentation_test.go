package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/examples/demo/config"
)

// Every example and every YAML block of the documentation is something that astern takes as it stands.
func TestExamplesAndDocumentationAreChecked(t *testing.T) {
	binary := build(t)
	honeylink := filepath.Join(root(t), "examples", "honeylink")

	for _, dir := range examples(t) {
		t.Run("examples/"+filepath.Base(dir), func(t *testing.T) { check(t, binary, dir) })
	}
	t.Run("examples/demo", func(t *testing.T) {
		check(t, binary, demo(t, config.Addresses{HAProxySocket: "/run/haproxy/admin.sock"}))
	})
	t.Run("examples/demo without HAProxy", func(t *testing.T) {
		check(t, binary, demo(t, config.Addresses{ProxyURL: "http://127.0.0.1:9000"}))
	})
	for _, b := range blocks(t) {
		t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
			dir := b.among(t, honeylink)
			check(t, binary, dir)
			if b.isTest() {
				printed, err := run(t, binary, "test", filepath.Join(dir, "block_test.yaml"))
				require.NoError(t, err, printed)
			}
		})
	}
}

// examples are the folders that hold a whole configuration.
func examples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(t), "examples", "*", "astern.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 5)
	for n, file := range files {
		files[n] = filepath.Dir(file)
	}
	return files
}

// A block of rule tests is run: one that expects too much fails.
func TestATestInABlockIsRun(t *testing.T) {
	binary, honeylink := build(t), filepath.Join(root(t), "examples", "honeylink")
	for expect, passes := range map[string]bool{"no_incident: true": true, "incidents: 1": false} {
		b := block{text: "config_file: astern.yaml\ntests:\n  - {name: quiet, expect: [{at: 1m, " + expect + "}]}\n"}
		require.True(t, b.isTest())
		printed, err := run(t, binary, "test", filepath.Join(b.among(t, honeylink), "block_test.yaml"))
		require.Equal(t, passes, err == nil, printed)
	}
}

func TestTheCheckSeesAMistakeInABlock(t *testing.T) {
	binary := build(t)
	b := block{text: "groups:\n  - name: g\n    rules:\n      - {rule: R, when: alrt.status == \"firing\"}\n"}
	printed, err := checked(t, binary, b.among(t, filepath.Join(root(t), "examples", "honeylink")))
	require.Error(t, err)
	require.Contains(t, printed, "alrt")
}

func check(t *testing.T, binary, dir string) {
	printed, err := checked(t, binary, dir)
	require.NoError(t, err, printed)
}

func checked(t *testing.T, binary, dir string) (string, error) { return run(t, binary, "check", dir) }

func run(t *testing.T, binary string, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = t.TempDir()
	printed, err := cmd.CombinedOutput()
	return string(printed), err
}

func demo(t *testing.T, a config.Addresses) string {
	a.BlueURL, a.GreenURL = "http://127.0.0.1:9001", "http://127.0.0.1:9002"
	a.PrometheusURL, a.AlertmanagerURL, a.SlackURL = "http://127.0.0.1:9090", "http://127.0.0.1:9093", "http://127.0.0.1:9003/api"
	dir := t.TempDir()
	_, err := config.Write(dir, a, config.Astern(a)...)
	require.NoError(t, err)
	return dir
}

// block is one YAML block of a document.
type block struct {
	file string
	line int
	text string
}

var fence = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// blocks gives every block marked `yaml` of the documents. What belongs to another program is marked `yml`.
func blocks(t *testing.T) []block {
	documents, err := filepath.Glob(filepath.Join(root(t), "docs", "*.md"))
	require.NoError(t, err)
	documents = append(documents, filepath.Join(root(t), "README.md"), filepath.Join(root(t), "CONTRIBUTING.md"))
	found := []block{}
	for _, name := range documents {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, m := range fence.FindAllSubmatchIndex(text, -1) {
			line := strings.Count(string(text[:m[2]]), "\n") + 1
			found = append(found, block{filepath.Base(name), line, string(text[m[2]:m[3]])})
		}
	}
	require.GreaterOrEqual(t, len(found), 2, "the documents hold no YAML blocks")
	return found
}

// among copies HoneyLink's files and puts the block in the place of the file of its kind.
func (b block) among(t *testing.T, honeylink string) string {
	dir := t.TempDir()
	if b.inCluster() {
		honeylink = filepath.Join(filepath.Dir(honeylink), "gitops-flux")
	}
	for _, name := range []string{"astern.yaml", "rules.yaml", "targets.yaml", "procedures.yaml", "communications.yaml", "prometheus-rules.yaml"} {
		text, err := os.ReadFile(filepath.Join(honeylink, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	name, text := b.place(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	return dir
}

// inCluster says that the block is a step for a target in a cluster: it stands among the files of an example that has one.
func (b block) inCluster() bool {
	return clusterStep.MatchString(b.text)
}

var clusterStep = regexp.MustCompile(`(?m)^- name: .*\n +uses: (kubernetes|manifest|git|argocd|flux)/`)

// isTest says that the block is a file of rule tests.
func (b block) isTest() bool {
	for _, key := range []string{"config_file:", "rule_files:", "tests:"} {
		if strings.HasPrefix(strings.TrimSpace(b.text), key) {
			return true
		}
	}
	return false
}

// place tells by its first key what a block is. A single step or communication is put into a whole file.
func (b block) place(t *testing.T) (file, text string) {
	switch first := strings.TrimSpace(b.text); {
	case strings.HasPrefix(first, "groups:"):
		return "rules.yaml", b.text
	case strings.HasPrefix(first, "classes:"), strings.HasPrefix(first, "targets:"):
		return "targets.yaml", b.text
	case strings.HasPrefix(first, "procedures:"):
		return "procedures.yaml", b.text
	case strings.HasPrefix(first, "communications:"):
		return "communications.yaml", b.text
	case strings.HasPrefix(first, "storage:"):
		return "astern.yaml", b.text
	case b.isTest():
		return "block_test.yaml", b.text
	case strings.HasPrefix(first, "- name:"):
		procedure, before := "blue_green", ""
		if b.inCluster() {
			procedure = "gitops"
		}
		if strings.Contains(b.text, "steps.revert.") {
			before = "- {name: revert, uses: git/revert, with: {commit: \"${release.current.commit}\"}, timeout: 35m}\n"
		}
		return "procedures.yaml", "procedures:\n  - name: " + procedure + "\n    steps:\n" + indent(before+b.text, "      ")
	case strings.HasPrefix(first, "to:"):
		return "communications.yaml", "communications:\n  -\n" + indent(b.text, "    ")
	}
	t.Fatalf("%s:%d: nobody knows what this block is: begin it with its file's first key, or mark it `yml`", b.file, b.line)
	return "", ""
}

func indent(text, by string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return by + strings.Join(lines, "\n"+by) + "\n"
}
