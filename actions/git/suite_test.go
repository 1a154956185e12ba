package git

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/repository/repositorytest"
)

func newRevert() actions.Action { return &Revert{} }

// scene is a repository with a history: good and bad change the same file, other another one.
type scene struct {
	*repositorytest.Origin
	first, good, bad, other string
}

const file = "apps/api/deployment.yaml"

func deployment(image, replicas string) string {
	return "kind: Deployment\nmetadata:\n  name: api\nspec:\n  template:\n    spec:\n      containers:\n        - name: api\n          image: " + image + "\n  strategy: {}\n  paused: false\n  minReadySeconds: 5\n  replicas: " + replicas + "\n"
}

var template struct {
	sync.Once
	dir string
	scene
}

func TestMain(m *testing.M) {
	if what := os.Getenv("ASTERN_TEST_REVERT"); what != "" {
		os.Exit(revertAsChild(what))
	}
	code := m.Run()
	os.RemoveAll(template.dir)
	os.Exit(code)
}

func newScene(t testing.TB) *scene {
	template.Do(func() {
		dir, err := os.MkdirTemp("", "git-scene")
		require.NoError(t, err)
		template.dir, template.scene = dir, *makeScene(t, dir)
	})
	s := template.scene
	s.Origin = s.Copy(t)
	return &s
}

func makeScene(t testing.TB, dir string) *scene {
	s := &scene{Origin: repositorytest.NewIn(t, dir)}
	s.first = s.Commit(t, "begin", map[string]string{file: deployment("api:1", "3"), "apps/web/web.yaml": "image: web:1\n"})
	s.good = s.Commit(t, "api 2", map[string]string{file: deployment("api:2", "3")})
	s.bad = s.Commit(t, "api 3 [skip ci]", map[string]string{file: deployment("api:3", "3")})
	s.other = s.Commit(t, "web 2", map[string]string{"apps/web/web.yaml": "image: web:2\n"})
	return s
}

func env(repo *repository.Repository) actions.Env {
	return actiontest.Env(&actiontest.World{Connections: map[string]any{"git": repo}})
}

// env is one with a mirror of its own, as another process has it.
func (s *scene) env(t testing.TB) actions.Env { return env(repositorytest.Open(t, s.Local(t))) }

func decode(t testing.TB, parameters string) *Revert {
	t.Helper()
	action, err := actiontest.Decode(newRevert, parameters)
	require.NoError(t, err)
	require.NoError(t, action.Validate())
	return action.(*Revert)
}

func outputs(t testing.TB, did actions.Result) RevertOutputs {
	t.Helper()
	require.IsType(t, RevertOutputs{}, did.Outputs)
	return did.Outputs.(RevertOutputs)
}

func newWorld(t *testing.T) *actiontest.World {
	s := newScene(t)
	server := s.HTTPS(t)
	return &actiontest.World{
		Connections: map[string]any{"git": repositorytest.Open(t, server.Connection(t))},
		State:       func() string { return s.Refs(t) },
		Canary:      repositorytest.Canary, Stall: server.Stall, Status: server.SetStatus,
		Break: map[string]func(){
			"the server answers 500":       func() { server.SetStatus(500) },
			"the server answers 403":       func() { server.SetStatus(403) },
			"the server redirects":         func() { server.SetStatus(302) },
			"the server is down":           server.Close,
			"the server has another token": func() { server.SetToken(t, "another-"+repositorytest.Canary) },
			"the branch is protected":      func() { s.Protect(t) },
		},
	}
}

func localWorld(t *testing.T) *actiontest.World {
	s := newScene(t)
	return &actiontest.World{Connections: map[string]any{"git": repositorytest.Open(t, s.Local(t))}, State: func() string { return s.Refs(t) }}
}

func TestContract(t *testing.T) {
	s := newScene(t)
	temporary, permanent := []int{500, 502, 503, 429}, []int{401, 403, 404}
	actiontest.Run(t, newRevert,
		actiontest.Case{Name: "commit", YAML: `{commit: "` + s.bad + `", pull_request: never}`, World: newWorld, Temporary: temporary, Permanent: permanent},
		actiontest.Case{Name: "restore", YAML: `{restore: {to: "` + s.good + `", paths: [apps/api]}, branch: main, wait: 10m}`, World: localWorld},
	)
}

func TestWhatIsRefusedAtOnce(t *testing.T) {
	for parameters, want := range map[string]string{
		`{}`: "either commit or restore",
		`{commit: abcdef1, restore: {to: abcdef1, paths: [a]}}`: "and not both",
		`{commit: HEAD~1}`:                                  "no hash of a commit",
		`{commit: abcdef}`:                                  "no hash of a commit",
		`{commit: "--upload-pack=id"}`:                      "no hash of a commit",
		`{commit: ABCDEF1}`:                                 "no hash of a commit",
		`{commit: abcdef1, branch: "a..b"}`:                 "no name of a branch",
		`{commit: abcdef1, branch: "-f"}`:                   "no name of a branch",
		`{commit: abcdef1, mainline: -1}`:                   "mainline",
		`{commit: abcdef1, pull_request: sometimes}`:        "neither protected, always nor never",
		`{commit: abcdef1, wait: -1s}`:                      "wait",
		`{commit: abcdef1, allow: [""]}`:                    "allow",
		`{commit: abcdef1, protect: ["/etc"]}`:              "protect",
		`{restore: {to: main, paths: [a]}}`:                 "restore.to",
		`{restore: {to: abcdef1, paths: []}}`:               "1 to 50 paths",
		`{restore: {to: abcdef1, paths: [""]}}`:             "restore.paths",
		`{restore: {to: abcdef1, paths: [../etc]}}`:         "restore.paths",
		`{restore: {to: abcdef1, paths: [/etc]}}`:           "restore.paths",
		`{restore: {to: abcdef1, paths: [.git/hooks]}}`:     "restore.paths",
		`{restore: {to: abcdef1, paths: [.]}}`:              "restore.paths",
		`{restore: {to: abcdef1, paths: [a]}, mainline: 2}`: "mainline",
	} {
		action, err := actiontest.Decode(newRevert, parameters)
		require.NoError(t, err, parameters)
		require.ErrorContains(t, action.Validate(), want, parameters)
	}
	for _, hostile := range actiontest.Hostile() {
		if hostile != "2130706433" { // an address, and a hash as good as any
			require.Error(t, (&Revert{Commit: hostile}).Validate(), "%q", hostile)
		}
		for _, p := range []string{hostile, "apps/" + hostile} {
			r := &Revert{Restore: &Restore{To: "abcdef1", Paths: []string{p}}}
			if slices.Contains(strings.Split(p, "/"), "..") || strings.ContainsAny(p, "\x00\r\n") {
				require.Error(t, r.Validate(), "%q", p)
			}
		}
	}
}

func run(t testing.TB, r *Revert, e actions.Env) (actions.Result, error) {
	t.Helper()
	return r.Run(context.WithoutCancel(t.Context()), e)
}
