package scaffold_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/actions/all"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/scaffold"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

var update = flag.Bool("update", false, "write what is written now into the golden files")

// recorded answers as a real Prometheus and a real Alertmanager did: a file of testdata holds each answer under
// "prometheus PATH QUERY" or "alertmanager PATH". What was not asked then is not found now.
func recorded(t *testing.T, a *txtar.Archive, who string) string {
	answers := map[string][]byte{}
	for _, f := range a.Files {
		if question, ok := strings.CutPrefix(f.Name, who+" "); ok {
			answers[question] = f.Data
		}
	}
	if len(answers) == 0 {
		return ""
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question := strings.TrimSpace(r.URL.Path + " " + r.FormValue("query") + r.FormValue("match[]"))
		answer, ok := answers[question]
		if !ok {
			t.Logf("nobody asked %s %s when it was recorded", who, question)
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func sourcesOf(t *testing.T, prometheus, alertmanager string) scaffold.Sources {
	dial := client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	s := scaffold.Sources{Now: time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC), Since: 30 * 24 * time.Hour}
	if prometheus != "" {
		opened, err := (&client.PrometheusConnection{ServerConnection: client.ServerConnection{URL: prometheus}}).Open(dial)
		require.NoError(t, err)
		s.Prometheus = opened.(*client.Prometheus)
	}
	if alertmanager != "" {
		opened, err := (&client.AlertmanagerConnection{ServerConnection: client.ServerConnection{URL: alertmanager}}).Open(dial)
		require.NoError(t, err)
		s.Alertmanager = opened.(*client.Alertmanager)
	}
	return s
}

// settings are those of the golden files: the addresses that are asked have another port each time.
func settings(s scaffold.Sources) scaffold.Settings {
	set := scaffold.Settings{AsternURL: "http://astern:9494", Since: s.Since}
	if s.Prometheus != nil {
		set.PrometheusURL = "http://prometheus:9090"
	}
	if s.Alertmanager != nil {
		set.AlertmanagerURL = "http://alertmanager:9093"
	}
	return set
}

func token() string { return "a-token" }

func filesOf(t *testing.T, s scaffold.Sources, target, environment string) ([]scaffold.File, *scaffold.Draft) {
	found, err := scaffold.Look(t.Context(), s)
	require.NoError(t, err)
	if target == "" {
		target = found.SuggestTarget()
	}
	if environment == "" {
		environment = found.SuggestEnvironment(target)
	}
	d := found.Draft(target, strings.TrimPrefix(environment, scaffold.None))
	if s.Prometheus != nil {
		d.Ask(t.Context(), s.Prometheus, s.Now)
	}
	files, err := d.Files(settings(s), token)
	require.NoError(t, err)
	return files, d
}

// checked reads the files as `astern check` does. The linter has a test of its own in cmd/astern.
func checked(t *testing.T, files []scaffold.File) *rules.Set {
	dir := t.TempDir()
	w, err := scaffold.Write(dir, files)
	require.NoError(t, err)
	require.Empty(t, w.Kept)
	registry, err := all.Registry()
	require.NoError(t, err)
	path := filepath.Join(dir, "astern.yaml")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	c, found := config.Load(path, text, registry)
	require.Empty(t, found)
	read, found := c.Read()
	require.Empty(t, found)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	set, found := rules.Load(env, read.Rules)
	require.Empty(t, found, "%s", read.Rules)
	book, found := plan.Load(env, registry, plan.Files{Targets: read.Targets, Procedures: read.Procedures, Communications: read.Communications})
	require.Empty(t, found, "%s", read.Targets)
	require.Empty(t, book.CheckConnections(c.ConnectionNames()))
	var refs []plan.RuleRef
	for _, r := range set.Rules() {
		require.Equal(t, "observe", r.Mode, r.Name)
		refs = append(refs, plan.RuleRef{Name: r.Name, Do: r.Do, Mode: incident.Observe})
	}
	if len(book.Targets()) > 0 {
		require.Empty(t, book.Check(refs))
	}
	return set
}

// Each file of testdata holds what real servers answered, and what is written from that.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			require.NoError(t, err)
			s := sourcesOf(t, recorded(t, a, "prometheus"), recorded(t, a, "alertmanager"))
			files, d := filesOf(t, s, "", "")
			checked(t, files)
			written := golden(files, d)
			if *update {
				a.Files = append(slices.DeleteFunc(a.Files, isWritten), written...)
				require.NoError(t, os.WriteFile(name, txtar.Format(a), 0o644))
				return
			}
			for i, w := range slices.DeleteFunc(slices.Clone(a.Files), func(f txtar.File) bool { return !isWritten(f) }) {
				require.Greater(t, len(written), i)
				require.Equal(t, w.Name, written[i].Name)
				require.Equal(t, string(w.Data), string(written[i].Data), w.Name)
			}
			again, _ := filesOf(t, s, "", "")
			require.Equal(t, files, again, "the same answers give the same files")
		})
	}
}

func isWritten(f txtar.File) bool { return strings.HasPrefix(f.Name, "written ") }

func golden(files []scaffold.File, d *scaffold.Draft) []txtar.File {
	all := []txtar.File{{Name: "written missing", Data: []byte(strings.Join(append(d.Missing, ""), "\n"))}}
	for _, f := range files {
		all = append(all, txtar.File{Name: fmt.Sprintf("written %s", f.Name), Data: f.Text})
	}
	return all
}

// A guard that is written out is worth its line only while it says the default.
func TestTheGuardsWrittenAreTheDefaults(t *testing.T) {
	files, _ := filesOf(t, sourcesOf(t, "", ""), "", "")
	registry, err := all.Registry()
	require.NoError(t, err)
	c, found := config.Load("astern.yaml", files[0].Text, registry)
	require.Empty(t, found)
	require.Equal(t, incident.DefaultGuards(), c.WrittenGuards)
	require.Equal(t, incident.Observe, c.Modes.Default)
}

func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	files := []scaffold.File{{Name: "a.yaml", Text: []byte("new\n")}, {Name: "secrets/t", Text: []byte("s\n"), Secret: true}}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("old\n"), 0o644))
	w, err := scaffold.Write(dir, files)
	require.NoError(t, err)
	require.Equal(t, []string{"a.yaml"}, w.Kept)
	require.Len(t, w.Files, 1)
	text, err := os.ReadFile(filepath.Join(dir, "a.yaml"))
	require.NoError(t, err)
	require.Equal(t, "old\n", string(text))
	for name, mode := range map[string]os.FileMode{"secrets/t": 0o600, "secrets": 0o700 | os.ModeDir} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), name)
	}
	// A name that leads elsewhere is there already, too.
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")))
	w, err = scaffold.Write(dir, []File{{Name: "link", Text: []byte("x")}})
	require.NoError(t, err)
	require.Equal(t, []string{"link"}, w.Kept)
	require.NoFileExists(t, filepath.Join(dir, "elsewhere"))
}

type File = scaffold.File
