package git

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/repository/repositorytest"
)

func TestARevertTakesBackOneCommit(t *testing.T) {
	s := newScene(t)
	r, e := decode(t, `{commit: `+s.bad[:9]+`}`), s.env(t)
	change, err := r.Plan(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, `revert `+s.bad[:10]+` "api 3 [skip ci]" by somebody on main: 1 file, +1 -1`, change.Summary)
	require.Equal(t, []string{
		"~ apps/api/deployment.yaml (+1 -1)", "= …", "=         spec:", "=         containers:", "=           - name: api",
		"-             image: api:3", "+             image: api:2", "=     strategy: {}", "=     paused: false", "=     minReadySeconds: 5",
		"= pushed to main; where that is protected, by pull request",
	}, dedent(change.Diff))
	did, err := run(t, r, e)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(deployment("api:2", "3")), s.Show(t, file))
	require.Equal(t, "image: web:2", s.Show(t, "apps/web/web.yaml"))
	head := s.Server(t, "rev-parse", "main")
	require.Equal(t, RevertOutputs{Commit: head}, outputs(t, did))
	require.Equal(t, s.other, s.Server(t, "rev-parse", "main^"), "on top of what was there")
	require.Equal(t, "Revert \"api 3\"\n\nThis reverts commit "+s.bad+".\n\nMade by astern for incident incident-1 of honeylink-api in production.\n\n"+
		"Astern-Key: incident-1/step-2\nAstern-Incident: incident-1", s.Server(t, "log", "-1", "--format=%B", "main"))
	require.Equal(t, "astern <astern@localhost>", s.Server(t, "log", "-1", "--format=%an <%ae>", "main"))
}

// dedent takes away what YAML's depth adds, to be read here.
func dedent(lines []string) []string {
	var all []string
	for _, line := range lines {
		if line == "=       spec:" || line == "=       template:" {
			line = strings.Replace(line, "=   ", "=     ", 1)
		}
		all = append(all, line)
	}
	return all
}

// Another process with the same key finds the effect there: a crash between the push and its record.
func TestTheSameKeyFindsItsCommit(t *testing.T) {
	s := newScene(t)
	parameters := `{commit: ` + s.bad + `}`
	planned, err := decode(t, parameters).Plan(t.Context(), s.env(t))
	require.NoError(t, err)
	require.ErrorIs(t, decode(t, parameters).Verify(t.Context(), s.env(t)), actions.ErrNotDone)
	first, err := run(t, decode(t, parameters), s.env(t))
	require.NoError(t, err)
	s.Pull(t)
	s.Commit(t, "later", map[string]string{"other": "1"})
	state := s.Refs(t)
	require.NoError(t, decode(t, parameters).Verify(t.Context(), s.env(t)))
	now, err := decode(t, parameters).Plan(t.Context(), s.env(t))
	require.NoError(t, err)
	require.Equal(t, planned.Found, now.Found, "our own effect is no drift")
	second, err := run(t, decode(t, parameters), s.env(t))
	require.NoError(t, err)
	require.Equal(t, first.Outputs, second.Outputs)
	require.Equal(t, state, s.Refs(t))
}

func TestAlreadyRevertedByAPerson(t *testing.T) {
	s := newScene(t)
	s.Git(t, "revert", "--no-edit", s.bad)
	s.Git(t, "push", "-q", "origin", "HEAD")
	state := s.Refs(t)
	r, e := decode(t, `{commit: `+s.bad+`}`), s.env(t)
	change, err := r.Plan(t.Context(), e)
	require.NoError(t, err)
	require.Contains(t, change.Summary, "nothing to undo")
	did, err := run(t, r, e)
	require.NoError(t, err)
	require.Equal(t, s.Server(t, "rev-parse", "main"), outputs(t, did).Commit)
	require.NoError(t, r.Verify(t.Context(), e))
	require.Equal(t, state, s.Refs(t))
}

func TestAConflictIsToldByFile(t *testing.T) {
	s := newScene(t)
	next := s.Commit(t, "api 4", map[string]string{file: deployment("api:4", "3")})
	state := s.Refs(t)
	r, e := decode(t, `{commit: `+s.bad+`}`), s.env(t)
	_, err := r.Plan(t.Context(), e)
	require.ErrorContains(t, err, "conflict in apps/api/deployment.yaml; changed since by "+next[:10]+` "api 4"`)
	require.True(t, actions.IsPermanent(err))
	_, err = run(t, r, e)
	require.True(t, actions.IsPermanent(err))
	require.ErrorIs(t, r.Verify(t.Context(), e), actions.ErrNotDone)
	require.ErrorContains(t, r.Ready(t.Context(), e), "conflict in")
	require.Equal(t, state, s.Refs(t))
}

func TestOtherPeoplesPushesAreNoDrift(t *testing.T) {
	s := newScene(t)
	e := s.env(t)
	plan := func() actions.Change {
		change, err := decode(t, `{commit: `+s.bad+`}`).Plan(t.Context(), e)
		require.NoError(t, err)
		return change
	}
	first := plan()
	s.Commit(t, "another file", map[string]string{"docs/x": "x"})
	require.Equal(t, first.Found, plan().Found)
	above := "# one more line above\n# and one more\n" + deployment("api:3", "3")
	later := s.Commit(t, "same file, elsewhere", map[string]string{file: above})
	require.Equal(t, first.Found, plan().Found, "where in the file it lies is no part of it")
	require.Contains(t, strings.Join(plan().Diff, "\n"), "= kept, though it touches the same files: "+later[:10])
	s.Commit(t, "right beside it", map[string]string{file: strings.Replace(above, "paused: false", "paused: true", 1)})
	require.NotEqual(t, first.Found, plan().Found)
}

// What was planned is done, or nothing is.
func TestAChangeThatBecameAnotherIsNotMade(t *testing.T) {
	s := newScene(t)
	r, e := decode(t, `{commit: `+s.bad+`}`), s.env(t)
	_, err := r.Plan(t.Context(), e)
	require.NoError(t, err)
	s.Commit(t, "beside it", map[string]string{file: strings.Replace(deployment("api:3", "3"), "paused: false", "paused: true", 1)})
	state := s.Refs(t)
	_, err = run(t, r, e)
	require.ErrorContains(t, err, "plan again")
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, state, s.Refs(t))
}

func TestAMergeIsTakenBackAgainstItsFirstParent(t *testing.T) {
	s := newScene(t)
	s.Git(t, "checkout", "-q", "-b", "feature", s.good)
	s.Write(t, map[string]string{"feature/a.yaml": "a\n"})
	s.Git(t, "add", "-A")
	s.Git(t, "commit", "-q", "-m", "feature")
	s.Git(t, "checkout", "-q", "main")
	s.Git(t, "merge", "-q", "--no-ff", "-m", "merge feature", "feature")
	s.Git(t, "push", "-q", "origin", "main")
	merge := s.Git(t, "rev-parse", "HEAD")
	after := s.Commit(t, "after it", map[string]string{"docs/x": "x"})
	r, e := decode(t, `{commit: `+merge+`}`), s.env(t)
	change, err := r.Plan(t.Context(), e)
	require.NoError(t, err)
	require.Contains(t, change.Diff, "- feature/a.yaml (+0 -1)")
	require.Contains(t, change.Diff, "= it is a merge: to bring its branch back, revert the revert first; merging it again brings nothing")
	_, err = run(t, r, e)
	require.NoError(t, err)
	require.Equal(t, after, s.Server(t, "rev-parse", "main^"))
	require.NotContains(t, s.Server(t, "ls-tree", "-r", "--name-only", "main"), "feature/")
	body := s.Server(t, "log", "-1", "--format=%B", "main")
	require.Contains(t, body, "This reverts commit "+merge+", reversing\nchanges made to "+s.other+".")
	require.Contains(t, body, "revert this commit first")
	e.Key = "another"
	_, err = decode(t, `{commit: `+merge+`, mainline: 3}`).Plan(t.Context(), e)
	require.ErrorContains(t, err, "has 2 parents, mainline names number 3")
	second, err := decode(t, `{commit: `+merge+`, mainline: 2}`).Plan(t.Context(), e)
	require.NoError(t, err)
	require.Contains(t, second.Diff, "~ apps/api/deployment.yaml (+1 -1)", "the branch stays, what the trunk had beside it goes")
}

func TestRestorePutsPathsBack(t *testing.T) {
	s := newScene(t)
	fourth := s.Commit(t, "api 4", map[string]string{file: deployment("api:4", "5"), "apps/api/new.yaml": "new\n"})
	s.Commit(t, "web 3", map[string]string{"apps/web/web.yaml": "image: web:3\n"})
	r, e := decode(t, `{restore: {to: `+s.good+`, paths: [apps/api]}}`), s.env(t)
	change, err := r.Plan(t.Context(), e)
	require.NoError(t, err)
	require.Contains(t, change.Summary, "restore as at "+s.good[:10]+` "api 2" on main: 2 files, +2 -3`)
	require.Contains(t, change.Diff, "- apps/api/new.yaml (+0 -1)")
	require.Contains(t, change.Diff, "- undone: "+fourth[:10]+` "api 4" by somebody`)
	require.Contains(t, change.Diff, "- undone: "+s.bad[:10]+` "api 3 [skip ci]" by somebody`)
	_, err = run(t, r, e)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(deployment("api:2", "3")), s.Show(t, file))
	require.Equal(t, "image: web:3", s.Show(t, "apps/web/web.yaml"))
	require.NotContains(t, s.Server(t, "ls-tree", "-r", "--name-only", "main"), "new.yaml")
	body := s.Server(t, "log", "-1", "--format=%B", "main")
	require.Contains(t, body, "Restore apps/api as at "+s.good[:10])
	require.Contains(t, body, fourth[:10]+" api 4")
	require.NotContains(t, body, "[skip ci]", "it would keep the checks from running")
	e.Key = "another"
	_, err = decode(t, `{restore: {to: `+s.good+`, paths: [apps/none]}}`).Plan(t.Context(), e)
	require.ErrorContains(t, err, `there is no "apps/none" at commit `+s.good[:10])
}

// A file that became a directory, and the other way round.
func TestRestoreAcrossFilesAndDirectories(t *testing.T) {
	s := newScene(t)
	good := s.Commit(t, "a file", map[string]string{"conf/x": "file\n", "conf/y/z": "deep\n"})
	s.Commit(t, "a directory", map[string]string{"conf/x": repositorytest.Gone, "conf/y": repositorytest.Gone})
	s.Commit(t, "of files", map[string]string{"conf/x/a": "a\n", "conf/y": "flat\n"})
	_, err := run(t, decode(t, `{restore: {to: `+good+`, paths: [conf]}}`), s.env(t))
	require.NoError(t, err)
	require.Equal(t, "conf/x\nconf/y/z", s.Server(t, "ls-tree", "-r", "--name-only", "main", "conf"))
}

func TestWhatIsNotPartOfTheBranch(t *testing.T) {
	s := newScene(t)
	s.Git(t, "checkout", "-q", "-b", "side", s.good)
	side := s.Commit(t, "side", map[string]string{"side": "1"})
	for parameters, want := range map[string]string{
		`{commit: ` + side + `}`:                               "is not part of branch main",
		`{commit: "0123456789"}`:                               "has no commit 0123456789",
		`{commit: ` + s.first + `}`:                            "is the first of its history",
		`{commit: ` + s.bad + `, branch: nowhere}`:             "has no branch nowhere",
		`{commit: ` + s.bad + `, pull_request: always}`:        "has no api",
		`{restore: {to: ` + side + `, paths: [apps]}}`:         "is not part of branch main",
		`{restore: {to: ` + s.good + `, paths: ["apps/*/x"]}}`: "there is no",
	} {
		_, err := decode(t, parameters).Plan(t.Context(), s.env(t))
		require.ErrorContains(t, err, want, parameters)
		require.True(t, actions.IsPermanent(err), parameters)
	}
}

func TestARevertOfAsternsIsNotReverted(t *testing.T) {
	s := newScene(t)
	did, err := run(t, decode(t, `{commit: `+s.bad+`}`), s.env(t))
	require.NoError(t, err)
	again := s.env(t)
	again.Key = "incident-2/step-1"
	_, err = decode(t, `{commit: `+outputs(t, did).Commit+`}`).Plan(t.Context(), again)
	require.ErrorContains(t, err, "a revert that astern made")
	change, err := decode(t, `{commit: `+s.bad+`}`).Plan(t.Context(), again)
	require.NoError(t, err)
	require.Contains(t, change.Summary, "nothing to undo")
}

// A commit that was reverted and made again is reverted again.
func TestRevertedAndMadeAgain(t *testing.T) {
	s := newScene(t)
	_, err := run(t, decode(t, `{commit: `+s.bad+`}`), s.env(t))
	require.NoError(t, err)
	s.Pull(t)
	again := s.Commit(t, "api 3 once more", map[string]string{file: deployment("api:3", "3")})
	e := s.env(t)
	e.Key = "incident-2/step-1"
	_, err = run(t, decode(t, `{commit: `+again+`}`), e)
	require.NoError(t, err)
	require.Contains(t, s.Show(t, file), "image: api:2")
}

func TestProtectedFiles(t *testing.T) {
	s := newScene(t)
	e := s.env(t)
	for name, c := range map[string]struct{ path, text, why string }{
		"migration":       {"services/api/migrations/0007_drop.sql", "drop table x;\n", "protected by **/migrations/**"},
		"terraform":       {"infra/main.tf", "resource\n", "protected by **/*.tf"},
		"sops by name":    {"apps/api/values.sops.yaml", "a: 1\n", "protected by **/*.sops.*"},
		"sops by content": {"apps/api/values.yaml", "password: ENC[AES256_GCM,data:x]\nsops:\n  mac: x\n", "is encrypted by SOPS"},
		"secret":          {"apps/api/all.yaml", "kind: ConfigMap\n---\napiVersion: v1\nkind: Secret\ndata: {p: aHVudGVyMg==}\n", "holds a secret"},
		"secret in JSON":  {"apps/api/all.json", "{\n  \"kind\": \"Secret\",\n  \"data\": {}\n}\n", "holds a secret"},
		"sealed":          {"apps/api/sealed.yaml", "kind: \"SealedSecret\" # x\n", "holds a secret"},
		"external":        {"apps/api/es.yaml", "items:\n  - kind: ExternalSecret\n", "holds a secret"},
		"definition":      {"platform/crd.yaml", "kind: CustomResourceDefinition\n", "holds a custom resource definition"},
		"own pattern":     {"billing/x.yaml", "a: 1\n", "protected by billing/"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := s.Commit(t, "guarded", map[string]string{c.path: c.text})
			_, err := decode(t, `{commit: `+bad+`, protect: [billing/]}`).Plan(t.Context(), e)
			require.ErrorContains(t, err, c.path+" ("+c.why+")")
			require.True(t, actions.IsPermanent(err))
			change, err := decode(t, `{commit: `+bad+`, protect: [billing/], allow: ["`+c.path+`"]}`).Plan(t.Context(), e)
			require.NoError(t, err)
			require.NotContains(t, strings.Join(change.Diff, "\n"), "aHVudGVyMg==")
			require.NotContains(t, strings.Join(change.Diff, "\n"), "ENC[")
		})
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		fits          bool
	}{
		{"**/migrations/**", "migrations/1.sql", true}, {"**/migrations/**", "a/b/migrations/c/1.sql", true}, {"**/migrations/**", "a/migrations.yaml", false},
		{"**/*.tf", "x.tf", true}, {"**/*.tf", "a/b/x.tf", true}, {"**/*.tf", "a/x.tfx", false}, {"infra", "infra/a", true}, {"infra/", "infra/a/b", true},
		{"infra", "infrastructure", false}, {"apps/*/secret.yaml", "apps/api/secret.yaml", true}, {"apps/*/secret.yaml", "apps/a/b/secret.yaml", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"**/*SealedSecret*", "x/my-sealedsecret.yaml", true}, {"**", "anything/at/all", true}, {"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false},
	} {
		require.Equal(t, c.fits, matches(c.pattern, c.path), "%s %s", c.pattern, c.path)
	}
}

func TestSecretsInOrdinaryFilesAreNotShown(t *testing.T) {
	s := newScene(t)
	bad := s.Commit(t, "config", map[string]string{"apps/api/config.yaml": "db:\n  password: hunter2-hunter2\n  api_key = hunter3\nplain: 1\n", "apps/api/secrets/x.yaml": "a: hunter4\n"})
	change, err := decode(t, `{commit: `+bad+`}`).Plan(t.Context(), s.env(t))
	require.NoError(t, err)
	text := strings.Join(change.Diff, "\n")
	require.NotContains(t, text, "hunter")
	require.Contains(t, text, "-     password: <hidden>")
	require.Contains(t, text, "-   plain: 1")
	require.Contains(t, text, "- apps/api/secrets/x.yaml (+0 -1): what it holds is not shown")
}

func TestALongDiffIsCut(t *testing.T) {
	s := newScene(t)
	bad := s.Commit(t, "\u202elong\x1b[2J", map[string]string{"a.txt": strings.Repeat("line\n", 5000), "b.txt": strings.Repeat("x", 10_000), "z.txt": "z\n"})
	change, err := decode(t, `{commit: `+bad+`}`).Plan(t.Context(), s.env(t))
	require.NoError(t, err)
	require.Less(t, len(change.Diff), maxLines+10)
	require.Contains(t, strings.Join(change.Diff, "\n"), "more lines of a.txt")
	require.Contains(t, change.Diff, "- z.txt (+0 -1)")
	require.NotContains(t, change.Summary, "\u202e")
	require.NotContains(t, change.Summary, "\x1b")
}

func TestPathsThatAreNoNames(t *testing.T) {
	s := newScene(t)
	bad := s.Commit(t, "odd", map[string]string{"a b/\"c\"\n-d.txt": "x\n", ":(top)x": "y\n"})
	r, e := decode(t, `{commit: `+bad+`}`), s.env(t)
	change, err := r.Plan(t.Context(), e)
	require.NoError(t, err)
	for _, line := range change.Diff {
		require.NotContains(t, line, "\n")
	}
	_, err = run(t, r, e)
	require.NoError(t, err)
	require.Equal(t, s.Server(t, "rev-parse", s.other+"^{tree}"), s.Server(t, "rev-parse", "main^{tree}"))
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	s := newScene(t)
	server := s.HTTPS(t)
	e := env(repositorytest.Open(t, server.Connection(t)))
	require.NoError(t, decode(t, `{commit: `+s.bad+`}`).Ready(t.Context(), e))
	server.SetToken(t, "wrong")
	require.ErrorContains(t, decode(t, `{commit: `+s.bad+`}`).Ready(t.Context(), e), "the server refuses the credentials")
	reads := s.HTTPS(t)
	e = env(repositorytest.Open(t, reads.Connection(t)))
	s.Server(t, "config", "http.receivepack", "false")
	require.ErrorContains(t, decode(t, `{commit: `+s.bad+`}`).Ready(t.Context(), e), "may not do this")
	t.Setenv("PATH", "/nonexistent")
	require.ErrorContains(t, decode(t, `{commit: `+s.bad+`}`).Ready(t.Context(), e), "this image has none")
}

func TestKeysAndBranches(t *testing.T) {
	require.Equal(t, "incident-1/step-2", trailerKey("incident-1/step-2"))
	require.Regexp(t, `^sha256:[0-9a-f]{64}$`, trailerKey("a\nAstern-Key: other"))
	require.NotEqual(t, branchOf("a/b"), branchOf("a-b"))
	for _, key := range []string{"incident-1/step-2", "", "../../x", strings.Repeat("Ä", 300), "a\nb"} {
		require.NoError(t, repository.CheckBranch(branchOf(key)), key)
	}
}
