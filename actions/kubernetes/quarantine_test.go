package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	tagged  = "registry.example:5000/shop/api:1.5.0"
	banBoth = `{namespace: shop, images: ["registry.example/shop/api@` + digestA + `", "` + tagged + `"], reason: errors rose, until: 7d}`
)

func onList(t *testing.T, s *clustertest.Server) map[string]string {
	t.Helper()
	obj := s.Get("ConfigMap", "shop", "astern-quarantine")
	require.NotNil(t, obj)
	data := map[string]string{}
	for key, value := range obj.Object["data"].(map[string]any) {
		data[key] = value.(string)
	}
	return data
}

func TestQuarantine(t *testing.T) {
	lists := `{apiVersion: v1, kind: ConfigMap, metadata: {name: astern-quarantine, namespace: shop}, data: {by-hand: "until 2999-01-01T00:00:00Z\nimage other:1\n"}}`
	for name, objects := range map[string]string{"no list yet": "", "a list of others": lists} {
		actiontest.Run(t, func() actions.Action { return &Quarantine{} },
			actiontest.Case{Name: name, YAML: banBoth, Temporary: []int{401, 429, 500, 503}, Permanent: []int{400, 403, 422},
				World: func(t *testing.T) *actiontest.World {
					s := clustertest.New(t)
					if objects != "" {
						s.Add(objects)
					}
					return worldOf(t, s)
				}})
	}
}

func TestQuarantinePutsImagesOnTheList(t *testing.T) {
	s := clustertest.New(t)
	env := envOf(t, s)
	env.Now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC) }
	q := do(t, &Quarantine{}, banBoth)
	change, err := q.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, "put "+digestA+", "+tagged+" on ConfigMap shop/astern-quarantine", change.Summary)
	require.Equal(t, []string{"+ ConfigMap shop/astern-quarantine",
		"+ ConfigMap shop/astern-quarantine " + digestA + " until 2026-03-08T12:00:00Z: errors rose",
		"+ ConfigMap shop/astern-quarantine " + tagged + " until 2026-03-08T12:00:00Z: errors rose"}, change.Diff)
	require.ErrorIs(t, q.Verify(t.Context(), env), actions.ErrNotDone)
	_, err = q.Run(t.Context(), env)
	require.NoError(t, err)
	require.NoError(t, q.Verify(t.Context(), env))
	text := "until 2026-03-08T12:00:00Z\nimage %s\nby incident incident-1\nkey incident-1/step-2\nreason errors rose\n"
	require.Equal(t, map[string]string{strings.Replace(digestA, ":", "-", 1): fmt.Sprintf(text, digestA), entry{image: tagged}.id(): fmt.Sprintf(text, tagged)}, onList(t, s))

	env.Now = func() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }
	again, err := q.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, change.Found, again.Found, "what the step itself wrote is no surprise")
	_, err = q.Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, s.Writes(), 1, "a second run of the same step makes nothing longer")

	env.Key = "incident-2/step-2"
	shorter := do(t, &Quarantine{}, `{namespace: shop, images: ["`+digestA+`"], reason: other, until: 1h}`)
	_, err = shorter.Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, s.Writes(), 1, "an entry is never made shorter")
	longer, err := do(t, &Quarantine{}, `{namespace: shop, images: ["`+digestA+`"], reason: other}`).Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, []string{"~ ConfigMap shop/astern-quarantine " + digestA + " until 2026-04-01T12:00:00Z: other"}, longer.Diff)
	require.NotEqual(t, change.Found, longer.Found)

	env.Now = func() time.Time { return time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC) }
	require.ErrorIs(t, shorter.Verify(t.Context(), env), actions.ErrNotDone, "its time is over")
	_, err = shorter.Run(t.Context(), env)
	require.NoError(t, err)
	require.NoError(t, shorter.Verify(t.Context(), env))
}

// A step that removes takes off what it names, whoever put it there, and nothing else; nothing there is nothing to do.
func TestQuarantineTakesImagesOff(t *testing.T) {
	s := clustertest.New(t)
	off := do(t, &Quarantine{}, `{namespace: shop, images: ["`+digestA+`"], remove: true}`)
	_, err := off.Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Empty(t, s.Writes())
	_, err = do(t, &Quarantine{}, banBoth).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	change, err := off.Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, []string{"- ConfigMap shop/astern-quarantine " + digestA}, change.Diff)
	require.ErrorIs(t, off.Verify(t.Context(), envOf(t, s)), actions.ErrNotDone)
	_, err = off.Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.NoError(t, off.Verify(t.Context(), envOf(t, s)))
	require.Len(t, onList(t, s), 1)
}

// Two that write at once lose neither entry.
func TestQuarantineIsShared(t *testing.T) {
	s := clustertest.New(t)
	s.Add(`{apiVersion: v1, kind: ConfigMap, metadata: {name: astern-quarantine, namespace: shop}, data: {a: b}}`)
	raced := false
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "patch" && !raced {
			raced = true
			s.Change("ConfigMap", "shop", "astern-quarantine", func(o map[string]any) { o["data"].(map[string]any)["other"] = "entry" })
		}
		return nil
	})
	_, err := do(t, &Quarantine{}, banBoth).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Len(t, onList(t, s), 4)
}

func TestQuarantineRefusesWhatCannotBeMeant(t *testing.T) {
	for parameters, why := range map[string]string{
		`{namespace: shop, images: [""], reason: x}`:                                                "images[0]: is empty: the digest or tag is not known",
		`{namespace: shop, images: [registry.example/api], reason: x}`:                              "neither a digest",
		`{namespace: shop, images: ["api:1\nimage other:2"], reason: x}`:                            "neither a digest",
		`{namespace: shop, images: ["api@sha256:abc"], reason: x}`:                                  "neither a digest",
		`{namespace: shop, images: [], reason: x}`:                                                  "images: from 1 to 20",
		`{namespace: shop, images: ["api:1"]}`:                                                      "reason: is required",
		`{namespace: shop, images: ["api:1"], reason: x, until: forever}`:                           "until:",
		`{namespace: shop, images: ["api:1"], reason: x, until: 400d}`:                              "a year at most",
		`{namespace: shop, images: ["api:1"], reason: x, until: -1h}`:                               "more than nothing",
		`{namespace: ../x, images: ["api:1"], reason: x}`:                                           "namespace",
		`{namespace: shop, config_map: A, images: ["api:1"], reason: x}`:                            "config_map",
		`{namespace: shop, images: ["a:1",` + strings.Repeat(`"a:1",`, 20) + `], reason: x}`:        "from 1 to 20",
		`{namespace: shop, images: ["` + strings.Repeat("a", 300) + `:1"], reason: x, until: "7d"}`: "neither a digest",
	} {
		action, err := actiontest.Decode(func() actions.Action { return &Quarantine{} }, parameters)
		require.NoError(t, err, parameters)
		require.ErrorContains(t, action.Validate(), why, parameters)
	}
	_, err := do(t, &Quarantine{}, `{namespace: shop, images: ["api:1"], reason: x, until: "2020-01-01T00:00:00Z"}`).Run(t.Context(), envOf(t, clustertest.New(t)))
	require.ErrorContains(t, err, "is over already")
	require.True(t, actions.IsPermanent(err))

	full := clustertest.New(t)
	var entries []string
	for n := range maxEntries {
		entries = append(entries, fmt.Sprintf("k%d: x", n))
	}
	full.Add(`{apiVersion: v1, kind: ConfigMap, metadata: {name: astern-quarantine, namespace: shop}, data: {` + strings.Join(entries, ", ") + `}}`)
	_, err = do(t, &Quarantine{}, banBoth).Plan(t.Context(), envOf(t, full))
	require.ErrorContains(t, err, "200 at most")
	require.True(t, actions.IsPermanent(err))
}

// Whatever a stranger's words are, they stay on their line, and what was written reads back.
func TestQuarantineEntriesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := entry{image: tagged, until: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), by: ownLine(rapid.String().Draw(t, "by")), key: "k", reason: ownLine(rapid.String().Draw(t, "reason"))}
		require.Equal(t, e, parseEntry(e.text()))
		require.Equal(t, 5, strings.Count(e.text(), "\n"))
		require.NoError(t, cluster.CheckName("key", strings.ToLower(e.id()[len(e.id())-12:])))
		require.Regexp(t, `^[-._a-zA-Z0-9]{1,253}$`, e.id())
	})
	require.NotEqual(t, entry{image: "a/b:1"}.id(), entry{image: "a_b:1"}.id())
}
