package engine

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules"
)

// failures remembers which rules could not be evaluated until that is stored: at the door it costs a map write, and only
// where a rule fails.
type failures struct {
	mu   sync.Mutex
	seen map[string]incident.RuleFailure // by rule
}

func (f *failures) note(failed []rules.Reason, now time.Time) {
	if len(failed) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[string]incident.RuleFailure{}
	}
	for _, r := range failed {
		f.seen[r.Rule.Name] = incident.RuleFailure{
			RuleError: incident.RuleError{Rule: r.Rule.Name, Digest: r.Rule.Digest, Error: bounded(r.Why)}, At: now,
		}
	}
}

// failureText is how much of an error is kept: it repeats what the alert says, which is a stranger's.
const failureText = 500

func bounded(text string) string {
	if len(text) <= failureText {
		return text
	}
	return strings.ToValidUTF8(text[:failureText], "") + "…"
}

func (f *failures) take() map[string]incident.RuleFailure {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.seen
	f.seen = nil
	return all
}

// giveBack takes in again what could not be stored; what was seen since is newer.
func (f *failures) giveBack(all map[string]incident.RuleFailure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(all, f.seen)
	f.seen = all
}

// failureStands is how long a stored failure of the same content speaks for further ones.
const failureStands = 24 * time.Hour

// keepFailures stores which rules could not be evaluated: a rule that fails now and then is not ready for more (S20).
func (e *Engine) keepFailures(ctx context.Context) error {
	seen := e.failures.take()
	if len(seen) == 0 {
		return nil
	}
	r := e.installation.record(ctx, installationStream, func(i incident.Installation) (draft, error) {
		var f incident.RulesErred
		for _, rule := range sortedKeys(seen) {
			known := i.Rules[rule].Error
			if known == nil || known.Digest != seen[rule].Digest || seen[rule].At.Sub(known.At) >= failureStands {
				f.Rules = append(f.Rules, seen[rule].RuleError)
			}
		}
		if len(f.Rules) == 0 {
			return draft{}, nil
		}
		return facts(byAstern, f), nil
	})
	if r.err != nil {
		e.failures.giveBack(seen)
	}
	return r.err
}
