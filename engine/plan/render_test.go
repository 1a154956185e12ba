package plan

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

func caseFrom(t testing.TB, file string) bookCase {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + file)
	require.NoError(t, err)
	return newCase(t, archive)
}

// envOn lets actions read a world.
func envOn(w *world) func(incident.Step) actions.Env {
	return func(incident.Step) actions.Env {
		return actions.Env{Connect: func(kind, _ string) (any, error) {
			if kind != "proxy" {
				return nil, errors.New("no connection " + kind)
			}
			return w, nil
		}}
	}
}

func TestCompleteAsksWhatWouldChangeAndNamesThePlan(t *testing.T) {
	c := caseFrom(t, "blue_green.txtar")
	rendered, err := c.render(t)
	require.NoError(t, err)
	complete := func(weights map[string]int) incident.Plan {
		p, err := c.book.Complete(context.Background(), rendered, envOn(&world{weights}))
		require.NoError(t, err)
		return p
	}
	p := complete(map[string]int{"green": 100})
	require.Equal(t, incident.PlanHash(p), p.Hash)
	require.False(t, p.Steps[0].Change.Changes)
	require.Equal(t, incident.Change{Changes: true, Summary: "weights of web", Diff: []string{"~ blue 0 -> 100", "~ green 100 -> 0"}, Found: "blue=0;green=100;"}, p.Steps[1].Change)
	require.Empty(t, rendered.Steps[1].Change, "the plan that was given is not changed")
	require.Equal(t, p.Hash, complete(map[string]int{"green": 100}).Hash)
	require.NotEqual(t, p.Hash, complete(map[string]int{"green": 50}).Hash, "another world is another plan")

	_, err = c.book.Complete(context.Background(), rendered, func(incident.Step) actions.Env {
		return actions.Env{Connect: func(string, string) (any, error) { return nil, errors.New("unreachable") }}
	})
	require.ErrorContains(t, err, "plan step switch_traffic: unreachable")
}

func TestAStepThatWaitsForAnotherCountsAsChanging(t *testing.T) {
	c := caseFrom(t, "late.txtar")
	p, err := c.render(t)
	require.NoError(t, err)
	p, err = c.book.Complete(context.Background(), p, envOn(&world{}))
	require.NoError(t, err)
	require.True(t, p.Steps[1].Change.Changes)
	require.Contains(t, p.Steps[1].Change.Summary, "waits for an earlier step")

	_, _, err = c.book.Action(p.Steps[1], map[string]map[string]any{"other": {"previous": "x"}})
	require.ErrorContains(t, err, "steps", "an output that is not there is no empty text")
}

// A plan of an older configuration runs as it was approved (S28): the steps alone say what to do.
func TestAStoredPlanRunsWithoutItsProcedure(t *testing.T) {
	c := caseFrom(t, "late.txtar")
	p, err := c.render(t)
	require.NoError(t, err)
	raw, err := json.Marshal(p)
	require.NoError(t, err)
	var stored incident.Plan
	require.NoError(t, json.Unmarshal(raw, &stored))

	newer, problems := load(t, Files{})
	require.NoError(t, problems.Err())
	for i := range stored.Steps {
		_, want, err := c.book.Action(p.Steps[i], c.now.Outputs)
		require.NoError(t, err)
		_, got, err := newer.Action(stored.Steps[i], c.now.Outputs)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
	_, _, err = newer.Action(incident.Step{Uses: "test/gone"}, nil)
	require.ErrorContains(t, err, `this version has no action "test/gone"`)
	_, _, err = newer.Action(incident.Step{Uses: "test/call", With: incident.Params(`{"gone":1}`)}, nil)
	require.ErrorContains(t, err, "there is no parameter of this name")
}

func TestTheSameIncidentHasTheSamePlan(t *testing.T) {
	c := caseFrom(t, "late.txtar")
	target, _ := c.book.Target("api")
	rapid.Check(t, func(t *rapid.T) {
		in := Input{Target: target, Procedure: "late", From: c.now.From, To: c.now.To, Now: testNow, Vars: expr.Vars{Alert: expr.Alert{Labels: map[string]string{
			"path": rapid.StringMatching(`[^./]+`).Draw(t, "path"), "x": rapid.String().Draw(t, "x"),
			"trap": rapid.SampledFrom([]string{"${", "$${", "$", "{", "a", "}", "late0late", "\xff"}).Draw(t, "a") + rapid.String().Draw(t, "trap"),
		}}}}
		first, err := c.book.Render(in)
		require.NoError(t, err)
		in.Now, in.Config, in.Vars.Now, in.Vars.Incident.Phase = testNow.Add(time.Hour), "another", testNow.Add(time.Hour), "held"
		again, err := c.book.Render(in)
		require.NoError(t, err)
		require.Equal(t, incident.PlanHash(first), incident.PlanHash(again))

		raw, err := json.Marshal(first)
		require.NoError(t, err)
		var stored incident.Plan
		require.NoError(t, json.Unmarshal(raw, &stored))
		require.Equal(t, first, stored, "what is stored comes back equal")
		require.Equal(t, incident.PlanHash(first), incident.PlanHash(stored))

		action, with, err := c.book.Action(stored.Steps[1], c.now.Outputs)
		require.NoError(t, err)
		require.Equal(t, string([]rune(in.Vars.Alert.Labels["trap"])), action.(*call).Body)
		stored.Steps[1].With = with
		_, same, err := c.book.Action(stored.Steps[1], nil)
		require.NoError(t, err)
		require.Equal(t, string(with), string(same), "what ran is stored in the same words")
	})
}

func TestExactlyOneTargetIsChosen(t *testing.T) {
	b, problems := load(t, Files{Targets: map[string][]byte{"t.yaml": []byte(`
classes: [{name: w, healthy: {waived: a test}}]
targets:
  - {name: a, class: w, environment: p, select: {service: a, zone: x}}
  - {name: b, class: w, environment: p, select: {service: b}}
  - {name: x, class: w, environment: p, select: {zone: y}}
  - {name: unselected, class: w, environment: p}
`)}})
	require.NoError(t, problems.Err())
	chosen, err := b.Choose(map[string]string{"service": "a", "zone": "x", "more": "1"})
	require.NoError(t, err)
	require.Equal(t, "a", chosen.Name)
	for _, labels := range []map[string]string{nil, {}, {"service": "a"}, {"service": "A", "zone": "x"}, {"service": ""}} {
		_, err := b.Choose(labels)
		require.ErrorIs(t, err, ErrNoTarget, "%v", labels)
	}
	_, err = b.Choose(map[string]string{"service": "b", "zone": "y"})
	require.ErrorIs(t, err, ErrNoTarget)
	require.ErrorContains(t, err, "2 targets match these labels: b, x")
}

func TestATargetHasWhatItsClassSays(t *testing.T) {
	c := caseFrom(t, "blue_green.txtar")
	api, ok := c.book.Target("api")
	require.True(t, ok)
	require.Equal(t, "production/api", api.UID)
	require.Equal(t, "blue_green", api.Procedure)
	require.Equal(t, "core", api.Team)
	require.Equal(t, map[string]any{
		"smoke": []any{map[string]any{"path": "/healthz", "status": int64(200)}}, "limits": map[string]any{"soft": int64(1), "hard": int64(9)},
		"tracks": map[string]any{"blue": "http://blue:8080", "green": "http://green:8080"},
	}, api.Vars)
	require.Equal(t, 10*time.Minute, api.Guards.Cooldown.Value)
	require.Equal(t, 4, api.Guards.MaxPerDay.Value)
	require.Equal(t, []string{"target/api", "class/web"}, []string{api.Levels[0].Scope, api.Levels[1].Scope})
	require.False(t, api.Levels[0].Guards.MaxPerDay.Written)

	require.Equal(t, 2*time.Minute, api.Healthy.For)
	require.Equal(t, 12*time.Minute, api.Healthy.Patience)
	q := api.Healthy.Queries[0]
	text, err := q.Render(expr.Vars{})
	require.NoError(t, err)
	require.Equal(t, `errors{service="api"}`, text)
	for value, want := range map[float64]bool{0.001: true, 0.005: false} {
		holds, err := q.Holds(value, expr.Vars{})
		require.NoError(t, err)
		require.Equal(t, want, holds)
	}
}

func TestWhatCannotBeSettledDoesNotKeepOthersFromBeingTold(t *testing.T) {
	b, problems := load(t, Files{Communications: map[string][]byte{"c.yaml": []byte(`
communications:
  - {to: a, via: chat, channel: "${target.owner.slack}", within: 0s}
  - {to: b, via: chat, channel: x, within: 0s, if: 'target.owner.team == "core"'}
  - {to: c, via: chat, channel: "#c", within: 0s}
`)}})
	require.NoError(t, problems.Err())
	owed, err := b.Owed(expr.Vars{})
	require.ErrorContains(t, err, "communication to a via chat: parameter channel: target.owner.slack is missing")
	require.ErrorContains(t, err, "communication to b: if: target.owner.team is missing")
	require.Len(t, owed, 1)
	require.Equal(t, "c", owed[0].To)
}

func FuzzLoad(f *testing.F) {
	for _, file := range []string{"blue_green.txtar", "late.txtar", "mistakes.txtar", "check.txtar"} {
		archive, err := txtar.ParseFile("testdata/" + file)
		require.NoError(f, err)
		texts := map[string]string{}
		for _, part := range archive.Files {
			texts[part.Name] = string(part.Data)
		}
		f.Add(texts["targets.yaml"], texts["procedures.yaml"], texts["communications.yaml"])
	}
	env, err := expr.NewEnv()
	require.NoError(f, err)
	registry := testRegistry(f)
	f.Fuzz(func(t *testing.T, targets, procedures, communications string) {
		b, problems := Load(env, registry, Files{
			Targets: map[string][]byte{"t": []byte(targets)}, Procedures: map[string][]byte{"p": []byte(procedures)}, Communications: map[string][]byte{"c": []byte(communications)},
		})
		for _, d := range problems {
			require.NotEmpty(t, d.String())
		}
		if problems.Err() != nil {
			return
		}
		_ = b.Check([]RuleRef{{Name: "r", Do: "rollback"}})
		_ = b.CheckConnections(nil)
		for _, target := range b.Targets() {
			p, err := b.Render(Input{Target: target, Procedure: "rollback", Now: testNow})
			if err == nil {
				require.NotEmpty(t, incident.PlanHash(p))
			}
		}
		if owed, err := b.Owed(expr.Vars{}); err == nil {
			for _, o := range owed {
				_, err := b.Channel(o.Via, o.With)
				require.NoError(t, err, "what is owed can be told")
			}
		}
	})
}
