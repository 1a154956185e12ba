package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// What people say of the whole installation and of its releases.

func (e *Engine) sayToAll(ctx context.Context, p Person, ask func(incident.Installation) (incident.Fact, error)) error {
	r := e.installation.record(ctx, installationStream, func(i incident.Installation) (draft, error) {
		f, err := ask(i)
		if err != nil || f == nil {
			return draft{}, err
		}
		return facts(p.Name, f), nil
	})
	return r.err
}

// Arm lets automation act, up to the modes. A first start, a lost volume or a restored backup is unarmed (S19).
func (e *Engine) Arm(ctx context.Context, p Person, reason string) error {
	if e.anonymous {
		return refused("the door is open to everybody (--insecure-allow-anonymous-webhook): such an installation only observes")
	}
	err := e.sayToAll(ctx, p, func(i incident.Installation) (incident.Fact, error) {
		if i.Armed != nil {
			return nil, stale("armed already by %s at %s", i.Armed.By, stamp(i.Armed.At))
		}
		return incident.Armed{Reason: reason}, nil
	})
	return e.andReconfigure(ctx, err)
}

// andReconfigure tells open incidents what holds now, also after a word that was said already: it may have been cut
// short then.
func (e *Engine) andReconfigure(ctx context.Context, err error) error {
	if again := e.reconfigureOpen(ctx); err == nil {
		err = again
	}
	return err
}

// Disarm takes that back: everything is judged as observe.
func (e *Engine) Disarm(ctx context.Context, p Person, reason string) error {
	err := e.sayToAll(ctx, p, func(i incident.Installation) (incident.Fact, error) {
		if i.Armed == nil {
			return nil, stale("not armed")
		}
		return incident.Disarmed{Reason: reason}, nil
	})
	return e.andReconfigure(ctx, err)
}

// Stop is the kill switch, for "all", "team/NAME" or "target/NAME". No step starts after it returns.
func (e *Engine) Stop(ctx context.Context, p Person, scope, reason string) error {
	if err := e.checkScope(scope); err != nil {
		return err
	}
	if reason == "" {
		return refused("a reason is needed: it is what the next person reads")
	}
	e.beginning.Lock()
	defer e.beginning.Unlock()
	return e.sayToAll(ctx, p, func(i incident.Installation) (incident.Fact, error) {
		if w, on := i.Stops[scope]; on {
			return nil, stale("%s is stopped already by %s: %s", scope, w.By, w.Reason)
		}
		return incident.Stopped{Scope: scope, Reason: reason}, nil
	})
}

func (e *Engine) checkScope(scope string) error {
	kind, name, _ := strings.Cut(scope, "/")
	switch {
	case scope == "all":
		return nil
	case kind == "team":
		if slices.ContainsFunc(e.config.Load().Book.Targets(), func(t *plan.Target) bool { return t.Team == name }) {
			return nil
		}
		return refused("no target belongs to a team %q", name)
	case kind == "target":
		if _, ok := e.config.Load().Book.Target(name); ok {
			return nil
		}
		return refused("there is no target %q", name)
	}
	return refused("a stop is for all, team/NAME or target/NAME, not %q", scope)
}

// Resume turns a stop of the same scope off. Held incidents are judged again at once.
func (e *Engine) Resume(ctx context.Context, p Person, scope, reason string) error {
	err := e.sayToAll(ctx, p, func(i incident.Installation) (incident.Fact, error) {
		if _, on := i.Stops[scope]; !on {
			return nil, stale("%s is not stopped", scope)
		}
		return incident.Resumed{Scope: scope, Reason: reason}, nil
	})
	e.reconsider(everyOne)
	return err
}

// ReleaseMassEvent lets incidents go on that a mass event held (S8); for its window no new one is called.
func (e *Engine) ReleaseMassEvent(ctx context.Context, p Person, reason string) error {
	window := incident.Merge(e.config.Load().Settings.Guards, incident.DefaultGuards()).MassEvent.Value.Within
	err := e.sayToAll(ctx, p, func(i incident.Installation) (incident.Fact, error) {
		if i.Mass == nil {
			return nil, stale("no mass event holds anything")
		}
		return incident.MassReleased{Reason: reason, Until: e.now().Add(window)}, nil
	})
	e.reconsider(everyOne)
	return err
}

// RecordRelease tells that a version runs since its At; CI calls it when a rollout has ended.
func (e *Engine) RecordRelease(ctx context.Context, p Person, target string, r incident.Release) error {
	if r.Version == "" {
		return refused("a release needs a version")
	}
	if r.At.After(e.now().Add(time.Minute)) {
		return refused("the release would lie in the future: %s", stamp(r.At))
	}
	r.At, r.Digest = notAfter(r.At, e.now()), bareDigest(r.Digest)
	return e.sayToTarget(ctx, p, target, func(t incident.TargetHistory) (incident.Fact, error) {
		told := t.Told(r)
		if !e.overtaken(target, t, told) {
			return incident.ReleaseRecorded{Release: told}, nil
		}
		if bad, why := t.Quarantined(told); bad {
			return nil, refused("%s; its cluster shows another version", why)
		}
		return incident.ReleaseSeen{Version: told.Version, Commit: told.Commit, Digest: told.Digest, Vars: told.Vars}, nil
	})
}

// overtaken says whether a word on a release comes too late: the target's cluster showed it before, and shows another one now. A
// pipeline that ends after its deploy was rolled back rolled nothing out again.
func (e *Engine) overtaken(target string, t incident.TargetHistory, r incident.Release) bool {
	known, ok := e.config.Load().Book.Target(target)
	return ok && e.watches && known.Workload != nil && e.unread(known, e.now()) == "" && t.Overtaken(r)
}

// BeginRelease tells that the rollout of a version began at its At and goes on; CI calls it before it deploys.
func (e *Engine) BeginRelease(ctx context.Context, p Person, target string, r incident.Release) error {
	if r.Version == "" {
		return refused("a release needs a version")
	}
	if r.At.After(e.now().Add(time.Minute)) {
		return refused("the rollout would begin in the future: %s", stamp(r.At))
	}
	r.At, r.Digest = notAfter(r.At, e.now()), bareDigest(r.Digest)
	return e.sayToTarget(ctx, p, target, func(t incident.TargetHistory) (incident.Fact, error) {
		if bad, why := t.Quarantined(r); bad {
			return nil, refused("%s", why)
		}
		return incident.RolloutBegan{Release: t.Told(r)}, nil
	})
}

// notAfter is the time, and never a later one than now: a clock that is a little ahead puts nothing out of order.
func notAfter(at, now time.Time) time.Time {
	if at.After(now) {
		return now
	}
	return at
}

// ReleaseAllowed says whether a version may be rolled out: it is not bad or denied, by its name or by its content (S14). A refusal
// says why.
func (e *Engine) ReleaseAllowed(ctx context.Context, target string, r incident.Release) error {
	if _, ok := e.config.Load().Book.Target(target); !ok {
		return missing("target", target)
	}
	t, err := e.targets.load(ctx, targetStream(target))
	if err != nil {
		return err
	}
	r.Digest = bareDigest(r.Digest)
	if bad, why := t.Quarantined(r); bad {
		return refused("%s", why)
	}
	return nil
}

// bareDigest leaves the repository out of what CI calls a digest: the same image has the same one everywhere.
func bareDigest(text string) string { return text[strings.LastIndexByte(text, '@')+1:] }

// DenyRelease says that nothing ever rolls back to this version: vulnerable, leaked or withdrawn (S14).
func (e *Engine) DenyRelease(ctx context.Context, p Person, target, version, reason string) error {
	if reason == "" {
		return refused("a reason is needed: it is what the next person reads")
	}
	return e.JudgeRelease(ctx, p, target, version, incident.Denied, reason)
}

// JudgeRelease changes the verdict on a version.
func (e *Engine) JudgeRelease(ctx context.Context, p Person, target, version string, v incident.Standing, reason string) error {
	return e.sayToTarget(ctx, p, target, func(t incident.TargetHistory) (incident.Fact, error) {
		if !t.Knows(version) {
			return nil, refused("%s knows no version %q", target, version)
		}
		return incident.ReleaseJudged{Version: version, Verdict: v, Reason: reason}, nil
	})
}

func (e *Engine) sayToTarget(ctx context.Context, p Person, target string, ask func(incident.TargetHistory) (incident.Fact, error)) error {
	if _, ok := e.config.Load().Book.Target(target); !ok {
		return missing("target", target)
	}
	r := e.targets.record(ctx, targetStream(target), func(t incident.TargetHistory) (draft, error) {
		f, err := ask(t)
		if err != nil {
			return draft{}, err
		}
		return facts(p.Name, f), nil
	})
	e.reconsider(func(i incident.Incident) bool { return i.Target == target })
	return r.err
}

// Reload swaps the configuration whole. Incidents that wait are judged by the new rules with the timers they have; a
// procedure that runs keeps the version it started with (S28). One that cannot be kept is not taken.
func (e *Engine) Reload(ctx context.Context, c *Configuration) error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if err := e.KeepConfiguration(ctx, c); err != nil {
		return err
	}
	// Before any of them judges: a changed rule never acts unseen. Who asked may be gone: what is stored must come in force,
	// or the rules that stay would count as changed for ever.
	if err := e.recordRules(context.WithoutCancel(ctx), c); err != nil {
		return err
	}
	e.config.Store(c)
	e.shadows.moved()
	e.readiness.outdated()
	err := e.reconfigureOpen(ctx)
	e.reconsider(everyOne)
	return err
}

// ReloadFailed tells what was wrong with a configuration that was not taken; nil when it was taken. Status shows it.
func (e *Engine) ReloadFailed(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.reloadError.Store(&text)
}

// reconfigureOpen tells every open incident what became of its rules.
func (e *Engine) reconfigureOpen(ctx context.Context) error {
	cfg := e.config.Load()
	for _, open := range e.index.openIncidents() {
		r := e.incidents.record(ctx, incidentStream(open.ID), func(i incident.Incident) (draft, error) {
			f := e.reconfiguration(cfg, i)
			if len(f.Rules) == 0 || i.Phase.Final() {
				return draft{}, nil
			}
			return facts(byAstern, f), nil
		})
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

func (e *Engine) reconfiguration(cfg *Configuration, i incident.Incident) incident.Reconfigured {
	var f incident.Reconfigured
	target, known := cfg.Book.Target(i.Target)
	for _, j := range i.Rules {
		if j.Rule == i.Lead && (i.Touched || len(i.Steps) > 0) {
			continue // it keeps the version it started with (S28): telling it each minute would change nothing
		}
		r, ok := cfg.Rules.Rule(j.Rule)
		if !ok {
			f.Rules = append(f.Rules, incident.Reconfiguration{Rule: j.Rule, Gone: true})
			continue
		}
		if !known {
			continue // judged as held: the target is gone
		}
		vars := alertVars(j.Sample, e.now())
		vars.Target = target.ExprTarget()
		now := incident.Reconfiguration{Rule: j.Rule, Mode: e.modeFor(r, target), For: r.For, Severity: r.Severity(vars), Digest: r.Digest}
		if now.Mode != j.Mode || now.For != j.For || now.Severity != j.Severity || now.Digest != j.Digest {
			f.Rules = append(f.Rules, now)
		}
	}
	return f
}
