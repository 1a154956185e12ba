package discover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions/cluster"
)

var midnight = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func marked(kind, name string, annotations map[string]string) cluster.Marked {
	all := map[string]string{"astern.dev/target": "api", "astern.dev/class": "web"}
	maps.Copy(all, annotations)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "-" })
	return cluster.Marked{Ref: cluster.Ref{Kind: kind, Namespace: "shop", Name: name}, UID: "uid-" + name, Created: midnight, Annotations: all}
}

var shop = Place{"shop", "production"}

func TestAnAnnotationNamesATarget(t *testing.T) {
	f := Read("prod", shop, []cluster.Marked{marked("Deployment", "api", map[string]string{
		"astern.dev/procedure": "rollback", "astern.dev/team": "core", "astern.dev/environment": "production",
		"astern.dev/select": "service=honeylink-api, environment=production", "astern.dev/vars.smoke_path": `/healthz?"x"=<1>`,
		"astern.dev/halted": "{}", "example.org/target": "other"})})
	require.Empty(t, f.Problems)
	text := string(Write("prod", f.Entries))
	require.Equal(t, `# What annotations in the cluster "prod" name. It is written anew when they change: change it there.
# Behind each target is the uid of its object.
targets:
  - {"name":"api","class":"web","procedure":"rollback","environment":"production","owner":{"team":"core"},"select":{"environment":"production","service":"honeylink-api"},"connections":{"kubernetes":"prod"},"workload":{"kind":"Deployment","namespace":"shop","name":"api"},"vars":{"smoke_path":"/healthz?\"x\"=\u003c1\u003e"}} # uid-api
`, text)
	var read struct{ Targets []map[string]any }
	require.NoError(t, yaml.Unmarshal([]byte(text), &read))
	require.Equal(t, `/healthz?"x"=<1>`, read.Targets[0]["vars"].(map[string]any)["smoke_path"])
	require.Equal(t, 0, EntryAt(4))
	again, err := Parse([]byte(text))
	require.NoError(t, err)
	require.True(t, again[0].Same(f.Entries[0]))
	require.Equal(t, "uid-api", again[0].UID)
	require.Equal(t, "prod", again[0].Site())
	require.Nil(t, Write("prod", nil), "no file without a target")
	site, is := SiteOf(FileName("prod"))
	require.True(t, is)
	require.Equal(t, "prod", site)
	_, is = SiteOf("targets.yaml")
	require.False(t, is)
}

// What is wrong with one object leaves that one out, and no more.
func TestAMistakeLeavesOneTargetOut(t *testing.T) {
	long := strings.Repeat("x", maxValue+1)
	for why, annotations := range map[string]map[string]string{
		"target is not a name":                      {"astern.dev/target": "a b"},
		"class is not a name":                       {"astern.dev/class": "web\n  - {name: evil}"},
		"procedure is not a name":                   {"astern.dev/procedure": "${target.name}"},
		"team is not a name":                        {"astern.dev/team": ""},
		`environment says "staging", and`:           {"astern.dev/environment": "staging"},
		`environment says "", and`:                  {"astern.dev/environment": ""},
		"select is not of the form":                 {"astern.dev/select": "service"},
		"astern.dev/select is not of the form":      {"astern.dev/select": "service=a,service=b"},
		"the annotation astern.dev/select is not":   {"astern.dev/select": "service=${alert.labels.x}"},
		"select is not of the form service=api":     {"astern.dev/select": "a-b=c"},
		"select is not of the form service=api,":    {"astern.dev/select": "service=" + long},
		"names no var":                              {"astern.dev/vars.Smoke-Path": "x"},
		"vars.x is not one plain line":              {"astern.dev/vars.x": "a\u202eb"},
		"vars.x is not one plain line of 512":       {"astern.dev/vars.x": long},
		"vars.y is not one plain line of 512":       {"astern.dev/vars.y": "${vars.x}"},
		"vars.z is not one plain line of 512 chara": {"astern.dev/vars.z": "a\nb"},
	} {
		f := Read("prod", shop, []cluster.Marked{marked("Deployment", "bad", annotations), marked("Deployment", "good", nil)})
		require.Len(t, f.Problems, 1, why)
		require.Contains(t, f.Problems[0], "Deployment shop/bad is no target: ")
		require.Contains(t, f.Problems[0], why)
		require.Less(t, len(f.Problems[0]), 300)
		require.Len(t, f.Entries, 1)
		require.Equal(t, "good", f.Entries[0].Workload.Name)
	}
	many := map[string]string{}
	for n := range maxVars + 1 {
		many[fmt.Sprintf("astern.dev/vars.v%d", n)] = "x"
	}
	require.Len(t, Read("prod", shop, []cluster.Marked{marked("Deployment", "bad", many)}).Problems, 1)
}

func TestANameBelongsToOneObject(t *testing.T) {
	older, younger := marked("Deployment", "z-old", nil), marked("StatefulSet", "a-young", nil)
	younger.Created = midnight.Add(time.Hour)
	f := Read("prod", shop, []cluster.Marked{younger, older}).settle(nil)
	require.Len(t, f.Entries, 1)
	require.Equal(t, "z-old", f.Entries[0].Workload.Name)
	require.Equal(t, []string{"StatefulSet shop/a-young is no target: api is Deployment shop/z-old already"}, f.Problems)

	f = Read("prod", shop, []cluster.Marked{younger, older}).settle(Read("prod", shop, []cluster.Marked{younger}).Entries)
	require.Equal(t, "a-young", f.Entries[0].Workload.Name, "it had the name before")

	front := marked("Service", "api", nil)
	front.Created = midnight.Add(2 * time.Hour)
	f = Read("prod", shop, []cluster.Marked{younger, older, front}).settle(nil)
	require.Empty(t, f.Problems, "the workloads behind a Service may say whose sides they are")
	require.Equal(t, "Service", f.Entries[0].Workload.Kind)

	elsewhere := marked("Deployment", "far", nil)
	elsewhere.Ref.Namespace, elsewhere.Created = "other", midnight.Add(3*time.Hour)
	f = Found{Entries: append(f.Entries, Read("prod", Place{"other", "production"}, []cluster.Marked{elsewhere}).Entries...)}.settle(nil)
	require.Len(t, f.Problems, 1, "a Service stands for nothing in another namespace")

	var all []cluster.Marked
	for n := range maxEntries + 1 {
		all = append(all, marked("Deployment", fmt.Sprintf("d%05d", n), map[string]string{"astern.dev/target": fmt.Sprintf("t%05d", n)}))
	}
	f = Read("prod", shop, all).settle(nil)
	require.Len(t, f.Entries, maxEntries)
	require.Len(t, f.Problems, 1)
}

func named(names ...string) []Entry {
	var all []Entry
	for _, name := range names {
		all = append(all, Entry{Name: name, UID: "uid-" + name, Workload: workload{"Deployment", "shop", name}})
	}
	return all
}

func namesOf(entries []Entry) []string {
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

// A configuration must be without mistakes with what is taken; what is in force is not put out by a newcomer.
func TestOnlyWhatLoadsIsTaken(t *testing.T) {
	blames := func(bad ...string) func([]Entry) []Mistake { // each mistake blames its own entry
		return func(all []Entry) []Mistake {
			var found []Mistake
			for n, e := range all {
				if slices.Contains(bad, e.Name) {
					found = append(found, Mistake{n, "it is bad"})
				}
			}
			return found
		}
	}
	together := func(a, b string, blamed int) func([]Entry) []Mistake { // two do not go together, and one place or none is blamed
		return func(all []Entry) []Mistake {
			names := namesOf(all)
			if !slices.Contains(names, a) || !slices.Contains(names, b) {
				return nil
			}
			if blamed < 0 {
				return []Mistake{{-1, "in another file"}}
			}
			return []Mistake{{slices.Index(names, []string{a, b}[blamed]), "they clash"}}
		}
	}
	for _, c := range []struct {
		name                   string
		inForce, newcomers     []string
		check                  func([]Entry) []Mistake
		taken, refused, reason string
	}{
		{"all", []string{"a"}, []string{"b", "c"}, blames(), "a b c", "", ""},
		{"those that are blamed are left out", []string{"a", "x"}, []string{"b", "y", "c"}, blames("x", "y"), "a b c", "x y", "it is bad"},
		{"one that nothing blames is found", nil, []string{"a", "b", "c", "d", "e", "f", "g"}, together("e", "e", -1), "a b c d f g", "e", "in another file"},
		{"a newcomer goes, whoever is blamed", []string{"a"}, []string{"b", "c"}, together("a", "b", 0), "a c", "b", "they clash"},
		{"a newcomer goes, where none is blamed", []string{"a", "d"}, []string{"b", "c"}, together("d", "c", -1), "a d b", "c", "in another file"},
		{"of two newcomers the one that is blamed goes", nil, []string{"a", "b"}, together("a", "b", 0), "b", "a", "they clash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			taken, refused := Accept(named(c.inForce...), named(c.newcomers...), c.check)
			require.Equal(t, c.taken, strings.Join(namesOf(taken), " "))
			var names []string
			for _, r := range refused {
				names = append(names, r.Entry.Name)
				require.Equal(t, c.reason, r.Why)
				require.Equal(t, fmt.Sprintf("Deployment shop/%[1]s is not taken as the target %[1]s: %[2]s", r.Entry.Name, r.Why), r.String())
			}
			require.Equal(t, c.refused, strings.Join(names, " "))
			require.Empty(t, c.check(taken))
		})
	}
}

// What is gone is said for a time; what an incident needs stays.
func TestTargetsThatGoAreMissed(t *testing.T) {
	h := newHistories()
	now := midnight
	s := newSite(Options{Engine: h, Log: zap.NewNop(), Now: func() time.Time { return now }}, Site{Name: "prod"})
	h.open["busy"] = "busy-3"
	h.unknown["never"] = true
	renamed := named("new")
	renamed[0].UID = "uid-old"
	found := s.keep(t.Context(), Found{Entries: named("busy", "gone", "never", "old")}, Found{Entries: renamed})
	require.Equal(t, []string{"busy", "new"}, namesOf(found.Entries))
	require.Equal(t, []string{
		"the target busy is gone: Deployment shop/busy no longer names it; it stays the target that it was until busy-3 is closed",
		"the target gone is gone: Deployment shop/gone no longer names it",
		"the target never is gone: Deployment shop/never no longer names it",
		"the target old is now named new: Deployment shop/old says so, and its history does not go with it",
	}, found.Problems)
	delete(h.open, "busy")
	found = s.keep(t.Context(), found, Found{Entries: renamed})
	require.Equal(t, []string{"new"}, namesOf(found.Entries))
	require.Len(t, found.Problems, 4)
	found = s.keep(t.Context(), found, Found{Entries: append(renamed, named("gone")...)})
	found = s.keep(t.Context(), found, Found{Entries: found.Entries})
	require.Len(t, found.Problems, 3, "one is back")
	require.Len(t, s.keep(t.Context(), Found{Entries: append(named("odd"), found.Entries...)}, Found{Entries: found.Entries, Problems: []string{"Deployment shop/odd is no target: why"}}).Problems, 4, "it is said once")
	now = now.Add(mourned)
	require.Empty(t, s.keep(t.Context(), found, Found{Entries: found.Entries}).Problems)
}

// A name that goes to another object is said; not while an incident is open on the one that had it. A new object of the same
// name and kind is the same workload.
func TestANameThatMovesIsSaid(t *testing.T) {
	h := newHistories()
	s := newSite(Options{Engine: h, Log: zap.NewNop(), Now: func() time.Time { return midnight }}, Site{Name: "prod"})
	before, moved, again := named("api"), named("api"), named("api")
	moved[0].Workload.Name, moved[0].UID, again[0].UID = "other", "uid-other", "uid-again"
	require.Empty(t, s.keep(t.Context(), Found{Entries: before}, Found{Entries: again}).Problems)
	h.open["api"] = "api-3"
	kept := s.keep(t.Context(), Found{Entries: before}, Found{Entries: slices.Clone(moved)})
	require.Equal(t, before, kept.Entries)
	require.Equal(t, []string{"the target api is Deployment shop/other now, before it was Deployment shop/api; it stays the target that it was until api-3 is closed"}, kept.Problems)
	delete(h.open, "api")
	kept = s.keep(t.Context(), kept, Found{Entries: slices.Clone(moved)})
	require.Equal(t, moved, kept.Entries)
	require.Equal(t, []string{"the target api is Deployment shop/other now, before it was Deployment shop/api"}, kept.Problems)
}
