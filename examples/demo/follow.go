package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/examples/demo/rig"
)

// What the demo reads of an incident in the API.
type (
	theIncident struct {
		Version int       `json:"version"`
		ID      string    `json:"id"`
		Phase   string    `json:"phase"`
		Reason  string    `json:"reason"`
		Plan    *thePlan  `json:"plan"`
		Steps   []theRun  `json:"steps"`
		Rules   []theRule `json:"rules"`
	}
	theRule struct {
		Rule      string        `json:"rule"`
		For       time.Duration `json:"for"`
		Judgement *struct {
			Verdict  string       `json:"verdict"`
			Findings []theFinding `json:"findings"`
		} `json:"judgement"`
	}
	theFinding struct {
		Guard  string `json:"guard"`
		Reason string `json:"reason"`
	}
	thePlan struct {
		Hash  string     `json:"hash"`
		From  theRelease `json:"from"`
		To    theRelease `json:"to"`
		Steps []theStep  `json:"steps"`
	}
	theRelease struct {
		Version string `json:"version"`
	}
	theStep struct {
		Name string `json:"name"`
	}
	theRun struct {
		State     string    `json:"state"`
		Error     string    `json:"error"`
		Summary   string    `json:"summary"`
		StartedAt time.Time `json:"started_at"`
		EndedAt   time.Time `json:"ended_at"`
	}
)

func (i theIncident) final() bool {
	switch i.Phase {
	case "succeeded", "failed", "rejected", "cancelled", "superseded":
		return true
	}
	return false
}

// step finds a step's place in the plan by its name, or -1.
func (i theIncident) step(name string) int {
	if i.Plan == nil {
		return -1
	}
	for n, s := range i.Plan.Steps {
		if s.Name == name && n < len(i.Steps) {
			return n
		}
	}
	return -1
}

// follow waits for the one incident and tells each change of it until its end.
func follow(ctx context.Context, s *screen, r *rig.Rig) (string, error) {
	id, err := first(ctx, r)
	if err != nil {
		return "", err
	}
	s.tell(bold, "incident", "%s opened for %s", id, target)
	var seen theIncident
	for !seen.final() {
		now, err := look(ctx, r.Astern, id, seen.Version)
		if err != nil {
			return "", fmt.Errorf("%w; the incident is %s: %s", err, cmp.Or(seen.Phase, "open"), seen.Reason)
		}
		tellChanges(s, seen, now)
		seen = now
	}
	return id, nil
}

// first waits until there is an incident.
func first(ctx context.Context, r *rig.Rig) (id string, err error) {
	err = rig.Await(ctx, "an incident", func(ctx context.Context) (bool, error) {
		var list struct {
			Items []theIncident `json:"items"`
		}
		if err := errors.Join(r.Astern.Get(ctx, "/api/v1/incidents", &list), r.Ended()); err != nil || len(list.Items) == 0 {
			return false, err
		}
		id = list.Items[0].ID
		return true, nil
	})
	return id, err
}

// look reads the incident as soon as it has more facts than were seen; with none seen at once.
func look(ctx context.Context, a *rig.Astern, id string, seen int) (theIncident, error) {
	var shown struct {
		Incident theIncident `json:"incident"`
	}
	err := a.Get(ctx, fmt.Sprintf("/api/v1/incidents/%s?wait=%d", id, seen), &shown)
	return shown.Incident, err
}

func tellChanges(s *screen, before, now theIncident) {
	if len(before.Rules) == 0 && len(now.Rules) > 0 {
		s.tell(plain, "rule", "%s matches; astern waits %s, then asks Prometheus about all of that time", now.Rules[0].Rule, now.Rules[0].For)
	}
	if before.Plan == nil && now.Plan != nil {
		s.tell(plain, "plan", "%.12s: %s -> %s, %d steps", now.Plan.Hash, now.Plan.From.Version, now.Plan.To.Version, len(now.Plan.Steps))
	}
	if before.Phase != now.Phase && now.Phase != "pending" {
		tellEvidence(s, now)
		s.tell(phaseTone(now.Phase), now.Phase, "%s", now.Reason)
	}
	for n := range now.Steps {
		if n >= len(before.Steps) || before.Steps[n].State != now.Steps[n].State {
			tellStep(s, now, n)
		}
	}
}

// tellEvidence says, as the steps begin, what Prometheus confirmed and how many guards were asked.
func tellEvidence(s *screen, now theIncident) {
	if now.Phase != "running" || len(now.Rules) == 0 || now.Rules[0].Judgement == nil {
		return
	}
	for _, f := range now.Rules[0].Judgement.Findings {
		if f.Guard == "confirm" {
			s.tell(plain, "confirmed", "%s; %d guards asked in all", f.Reason, len(now.Rules[0].Judgement.Findings))
		}
	}
}

func tellStep(s *screen, now theIncident, n int) {
	step, name := now.Steps[n], now.Plan.Steps[n].Name
	took := step.EndedAt.Sub(step.StartedAt).Round(10 * time.Millisecond)
	switch step.State {
	case "done":
		s.tell(green, "  ✓ step", "%d %-14s %6s  %s", n+1, name, took, step.Summary)
	case "failed", "in_doubt", "skipped", "repaired":
		s.tell(red, "  ✗ step", "%d %-14s %6s  %s: %s", n+1, name, took, step.State, step.Error)
	}
}

func phaseTone(phase string) string {
	switch phase {
	case "succeeded":
		return green
	case "failed", "in_doubt", "cancelled", "rejected", "superseded":
		return red
	}
	return cyan
}
