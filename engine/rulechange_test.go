package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// A changed rule only suggests for a day (S20).

// changeHole writes another condition into rule Hole; takeIn loads the files as they are.
func (r *rig) changeHole(content string) {
	const as = `alert.labels.alertname == "Hole"`
	r.files.rules = replace(defaultFiles.rules, as, as+" && "+content)
}

func (r *rig) takeIn() {
	r.t.Helper()
	require.NoError(r.t, r.engine.Reload(r.t.Context(), r.configuration(r.files)))
	r.settle()
}

const other, another = `alert.labels.service != "x"`, `alert.labels.service != "y"`

func TestS20AChangedRuleOnlySuggests(t *testing.T) {
	for name, load := range map[string]func(*rig){"by a reload": (*rig).takeIn, "by a restart": (*rig).restart} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).ready()
			r.advance(time.Minute)
			r.changeHole(other)
			load(r)
			r.watchdog()
			r.fire("Hole", "api")
			r.advance(time.Hour)
			i := r.phase("api", incident.Pending)
			require.Equal(t, "suggest: rule changed 2026-11-01T12:01:00Z; it only suggests until 2026-11-02T12:01:00Z, unless `astern rules waive Hole`; it would have rolled back", i.Reason)
			require.Equal(t, incident.Suggest, i.Rules[0].Mode)
			j := i.Rules[0].Judgement
			require.Equal(t, incident.Tell, j.Verdict)
			require.Equal(t, incident.Go, j.Would)
			require.Equal(t, "changed_rule", j.Findings[len(j.Findings)-1].Guard)
			require.Empty(t, r.world.did())
			s := r.ruleStatus("Hole")
			require.Equal(t, incident.Suggest, s.Effective)
			require.Equal(t, "changed", s.Held)
			require.Equal(t, start.Add(24*time.Hour+time.Minute), s.HeldUntil)
			require.Equal(t, 1, s.Score.WouldAct, "what it would have done counts")
			r.restart()
			r.advance(time.Minute)
			require.Empty(t, r.world.did(), "it survives a restart")
		})
	}
}

func TestS20WhoWaitsIsJudgedWhenTheDayIsOver(t *testing.T) {
	r := newRig(t).ready()
	r.changeHole(other)
	r.takeIn()
	r.barks = false
	r.advance(23*time.Hour + 57*time.Minute)
	r.barks, r.bark = true, r.now()
	r.fire("Hole", "api")
	r.advance(3*time.Minute - time.Second)
	require.Empty(t, r.world.did())
	r.advance(2 * time.Second)
	require.Len(t, r.world.did(), 2)
	require.Equal(t, incident.Auto, r.incident("api").Rules[0].Mode)
	require.Equal(t, incident.Auto, r.ruleStatus("Hole").Effective)
}

func TestS20ANewRuleIsNoChange(t *testing.T) {
	r := newRig(t, func(r *rig) { r.files.rules = replace(r.files.rules, "rule: Hole", "rule: Formerly") }).ready()
	r.files.rules = defaultFiles.rules
	r.takeIn()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	require.Len(t, r.world.did(), 2)
}

func TestS20BackToWhatRanBeforeIsNoChange(t *testing.T) {
	r := newRig(t).ready()
	r.changeHole(other)
	r.takeIn()
	r.advance(time.Hour)
	r.files.rules = defaultFiles.rules
	r.takeIn()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	require.Len(t, r.world.did(), 2)
}

func TestS20ARuleThatWasAwayIsStillTheSame(t *testing.T) {
	r := newRig(t).ready()
	r.files.rules = replace(defaultFiles.rules, "rule: Hole", "rule: Formerly")
	r.takeIn()
	r.advance(time.Hour)
	r.changeHole(other)
	r.takeIn()
	require.Equal(t, "changed", r.ruleStatus("Hole").Held)
}

func TestS20AWaiverIsANamedPersonsWordForOneContent(t *testing.T) {
	r := newRig(t).ready()
	require.ErrorContains(t, r.engine.WaiveRule(t.Context(), sre, "Hole", "x"), "not held back")
	r.changeHole(other)
	r.takeIn()
	r.fire("Hole", "api")
	r.advance(time.Minute)
	require.Empty(t, r.world.did())
	require.ErrorContains(t, r.engine.WaiveRule(t.Context(), sre, "Hole", ""), "a reason is needed")
	require.Error(t, r.engine.WaiveRule(t.Context(), sre, "None", "x"))
	require.NoError(t, r.engine.WaiveRule(t.Context(), sre, "Hole", "only a label"))
	r.settle()
	require.Len(t, r.world.did(), 2, "who waits is judged at once")
	require.ErrorContains(t, r.engine.WaiveRule(t.Context(), sre, "Hole", "x"), "waived already by sre: only a label")
	r.restart()
	require.Equal(t, incident.Auto, r.ruleStatus("Hole").Effective, "it survives a restart")
	r.changeHole(another)
	r.takeIn()
	require.Equal(t, incident.Suggest, r.ruleStatus("Hole").Effective, "the next content has its own day")
}

func TestS20HowLongIsNotTheRulesToSay(t *testing.T) {
	r := newRig(t).ready()
	r.files.rules = replace(defaultFiles.rules, `guards: {recent_change: "off"}`, `guards: {recent_change: "off", changed_rule: "off"}`)
	r.takeIn()
	require.Equal(t, "changed", r.ruleStatus("Hole").Held)
	cfg := r.configuration(r.files)
	cfg.Settings.Guards, _ = incident.GuardsFrom(map[string]any{"changed_rule": "2h"})
	require.NoError(t, r.engine.Reload(t.Context(), cfg))
	require.Equal(t, start.Add(2*time.Hour), r.ruleStatus("Hole").HeldUntil)
	cfg.Settings.Guards, _ = incident.GuardsFrom(map[string]any{"changed_rule": "off"})
	require.NoError(t, r.engine.Reload(t.Context(), cfg))
	require.Empty(t, r.ruleStatus("Hole").Held)
}

// A rule in approve or waiting for a yes loses its offer when it changes.
func TestS20AnOfferOfAChangedRuleIsTakenBack(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	r.files.rules = replace(defaultFiles.rules, `when: alert.labels.alertname == "Asks"`, `when: alert.labels.alertname == "Asks" && `+other)
	r.takeIn()
	require.Error(t, r.engine.Approve(t.Context(), sre, i.ID, i.Offer.Plan, ""))
	require.Contains(t, r.phase("api", incident.Pending).Reason, "only suggests")
}

// What was approved to run keeps the version it started with (S28).
func TestS20AProcedureThatRunsIsNotStopped(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			r.changeHole(other)
			require.NoError(t, r.engine.Reload(t.Context(), r.configuration(r.files)))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	require.Len(t, r.world.did(), 2)
	before := r.phase("api", incident.Verifying).Version
	r.takeIn()
	require.Equal(t, before, r.incident("api").Version, "it is not told what it does not heed")
}

func TestTenThousandRulesAreToldOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("groups:\n  - name: many\n    rules:\n")
	for n := range 2500 {
		fmt.Fprintf(&b, "      - {rule: R%d, when: 'alert.labels.alertname == \"A%d\"', do: rollback}\n", n, n)
	}
	r := newRig(t, func(r *rig) { r.files.rules = b.String() })
	loaded := func() int {
		events, err := r.store.Load(t.Context(), "installation")
		require.NoError(t, err)
		for _, e := range events {
			raw, err := incident.EncodeFact(e.Fact)
			require.NoError(t, err)
			require.Less(t, len(raw), 200_000)
		}
		return len(events)
	}
	require.Equal(t, 3, loaded())
	r.restart()
	require.Equal(t, 3, loaded(), "a start without a change says nothing")
	r.files.rules = replace(r.files.rules, `"A7"`, `"A-7"`)
	r.takeIn()
	require.Equal(t, 4, loaded())
	events, err := r.store.Load(t.Context(), "installation")
	require.NoError(t, err)
	require.Len(t, events[3].Fact.(incident.RulesLoaded).Rules, 1, "only what changed is told")
}

// A reload whose asker goes away in the middle comes in force, or leaves no trace: what stays in force must not count as
// changed for ever.
func TestS20AReloadThatNobodyWaitsForLeavesNoRuleHeldForEver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	goes := false
	r := newRig(t, func(r *rig) {
		r.hook = func(point string) {
			if goes && point == "append" {
				cancel()
			}
		}
	}).ready()
	r.changeHole(other)
	r.takeIn()
	r.advance(time.Minute)
	r.changeHole(another)
	goes = true
	_ = r.engine.Reload(ctx, r.configuration(r.files))
	goes = false
	require.Error(t, ctx.Err())
	r.settle()
	require.Equal(t, incident.Suggest, r.ruleStatus("Hole").Effective)
	r.advance(24*time.Hour + time.Minute)
	require.Equal(t, incident.Auto, r.ruleStatus("Hole").Effective)
}

// Rules that could not be written down do not come in force: a changed rule never acts unseen.
func TestS20WhatCannotBeRecordedDoesNotComeInForce(t *testing.T) {
	var disk *failing
	r := newRig(t, func(r *rig) {
		r.opts = func(o *engine.Options) { disk = &failing{Store: o.Store}; o.Store = disk }
	}).ready()
	before := r.ruleStatus("Hole").Digest
	r.changeHole(other)
	disk.stream = "installation"
	require.ErrorIs(t, r.engine.Reload(t.Context(), r.configuration(r.files)), incident.ErrUnavailable)
	require.Equal(t, before, r.ruleStatus("Hole").Digest)
	disk.stream = ""
	r.takeIn()
	require.NotEqual(t, before, r.ruleStatus("Hole").Digest)
	require.Equal(t, "changed", r.ruleStatus("Hole").Held)
}
