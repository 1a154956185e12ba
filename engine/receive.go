package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// AlertID is an alert's identity here: its source and its full label set. Alertmanager's fingerprint and groupKey are
// no identities: two sources may send the same, and a groupKey changes with the routing tree.
func AlertID(source string, labels map[string]string) string {
	var text [1024]byte // room for an ordinary alert
	var keys [24]string
	b, names := appendPart(text[:0], source), keys[:0]
	for name := range labels {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = appendPart(appendPart(b, name), labels[name])
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// appendPart writes a string so that no two lists of strings read alike.
func appendPart(b []byte, s string) []byte {
	return append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...)
}

// Receive judges each alert of a notification on its own. When it returns nil, everything that follows from the
// notification is durable. incident.ErrUnavailable and ErrDraining ask the sender to try again.
func (e *Engine) Receive(ctx context.Context, n Notification) (Receipt, error) {
	if !e.started.Load() || e.draining.Load() {
		return Receipt{}, ErrDraining
	}
	now := e.now()
	e.index.heard(n.Source, n.Receiver, now, n.Truncated > 0)
	sorted := e.sort(n)
	line := closing(func(decided []incident.Decision) *incident.Delivery {
		return ledgerLine(n, now, sorted.config, decided)
	})
	decisions, kept, err := e.deliverAll(ctx, sorted, line)
	if err != nil {
		return Receipt{}, err
	}
	if n.Truncated > 0 {
		e.readWhole(n.Source)
	}
	if !kept {
		err = e.store.Deliver(ctx, *line(decisions))
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("keep the delivery of %s: %w", n.Source, err)
	}
	e.hook("delivery-kept")
	e.metrics.decisions(decisions)
	return Receipt{decisions}, nil
}

// mail is what one delivery has for one target.
type mail struct {
	target *plan.Target
	byRule map[string]*letter // firing, by rule
	order  []*letter          // as the rules stand in their files
	ended  []ending
	source string
	listed bool // Alertmanager's API shows these alerts active
}

type letter struct {
	rule   *rules.Rule
	vars   expr.Vars // of the first alert
	sample incident.Alert
	alerts []incident.Seen
	labels map[string]map[string]string // by alert, for the ledger and the late ones
	note   string
}

type ending struct {
	incident.AlertEnd
	alert incident.Alert
}

type sortedMail struct {
	byTarget map[string]*mail
	listed   bool
	decided  []incident.Decision // alerts that reach no incident
	config   string              // by which they were judged
	matches  []rules.Match       // of the alert in hand
}

// sort says for each alert which rules it matches and which target it chooses.
func (e *Engine) sort(n Notification) sortedMail {
	cfg := e.config.Load()
	s := sortedMail{byTarget: map[string]*mail{}, listed: n.listed, config: cfg.Digest, decided: make([]incident.Decision, 0, len(n.Alerts))}
	for _, d := range n.Alerts {
		a := d.Alert
		a.Source, a.ID, a.GroupLabels = n.Source, AlertID(n.Source, a.Labels), n.GroupLabels
		if kind, reason := e.aside(d, a); kind != "" {
			s.decided = append(s.decided, decision(a, kind, reason))
			continue
		}
		if a.Status == "resolved" {
			s.ending(e, cfg, a)
			continue
		}
		s.firing(e, cfg, a, d.Note)
	}
	return s
}

const watchdogName = "Watchdog"

// aside names the alerts that are never matched, and hears the Watchdog.
func (e *Engine) aside(d Delivered, a incident.Alert) (kind, reason string) {
	if kind, reason = setAside(d); kind == "watchdog" && a.Status == "firing" {
		e.index.sawWatchdog(a.Source, e.now())
	}
	return kind, reason
}

func setAside(d Delivered) (kind, reason string) {
	name := d.Alert.Labels["alertname"]
	switch {
	case d.Quarantine != "":
		return "quarantined", d.Quarantine
	case name == watchdogName:
		return "watchdog", "the way from Prometheus to here is alive"
	case rules.Own(name):
		return "own", "an alert about astern never matches a rule"
	}
	return "", ""
}

func decision(a incident.Alert, kind, reason string) incident.Decision {
	return incident.Decision{Alert: a.ID, Labels: a.Labels, Status: a.Status, Kind: kind, Reason: reason}
}

func (s *sortedMail) firing(e *Engine, cfg *Configuration, a incident.Alert, note string) {
	vars := alertVars(a, e.now())
	var failed []rules.Reason
	s.matches, failed = cfg.Rules.AppendMatches(s.matches[:0], &vars)
	e.failures.note(failed, e.now())
	if len(s.matches) == 0 {
		s.decided = append(s.decided, decision(a, "unmatched", ""))
		return
	}
	for _, m := range s.matches {
		target, err := cfg.targetOf(m.Rule, vars)
		if err != nil {
			d := decision(a, "no_target", err.Error())
			d.Rule = m.Rule.Name
			s.decided = append(s.decided, d)
			e.log.Warn("an alert matched a rule but chooses no target", logAlert(a), logRule(m.Rule.Name), logError(err))
			continue
		}
		s.of(target, a.Source).add(m.Rule, vars, a, note)
	}
}

// ending files a resolved alert with the incident that holds its episode.
func (s *sortedMail) ending(e *Engine, cfg *Configuration, a incident.Alert) {
	asFiring := a
	asFiring.Status = "firing"
	vars := alertVars(asFiring, e.now())
	seen := map[string]bool{}
	for _, m := range cfg.Rules.Match(vars) {
		target, err := cfg.targetOf(m.Rule, vars)
		if err != nil || seen[target.Name] {
			continue
		}
		seen[target.Name] = true
		box := s.of(target, a.Source)
		box.ended = append(box.ended, ending{incident.AlertEnd{ID: a.ID, EndsAt: a.EndsAt}, a})
	}
	for _, target := range e.index.targetsOf(a.ID) { // also when no rule matches it any more
		if !seen[target] {
			seen[target] = true
			box := s.of(&plan.Target{Name: target}, a.Source)
			box.ended = append(box.ended, ending{incident.AlertEnd{ID: a.ID, EndsAt: a.EndsAt}, a})
		}
	}
	if len(seen) == 0 {
		s.decided = append(s.decided, decision(a, "unmatched", ""))
	}
}

func (s *sortedMail) of(t *plan.Target, source string) *mail {
	box, ok := s.byTarget[t.Name]
	if !ok {
		box = &mail{target: t, byRule: map[string]*letter{}, source: source, listed: s.listed}
		s.byTarget[t.Name] = box
	}
	return box
}

func (m *mail) add(rule *rules.Rule, vars expr.Vars, a incident.Alert, note string) {
	l, ok := m.byRule[rule.Name]
	if !ok {
		l = &letter{rule: rule, vars: vars, sample: a, labels: map[string]map[string]string{}}
		m.byRule[rule.Name] = l
		m.order = append(m.order, l)
	}
	if _, twice := l.labels[a.ID]; twice {
		return
	}
	l.alerts = append(l.alerts, incident.Seen{ID: a.ID, Source: a.Source, Fingerprint: a.Fingerprint, StartsAt: a.StartsAt})
	l.labels[a.ID] = a.Labels
	if note != "" {
		l.note = note
	}
}

func (c *Configuration) targetOf(r *rules.Rule, vars expr.Vars) (*plan.Target, error) {
	if r.Target == "" {
		return c.Book.Choose(vars.Alert.Labels)
	}
	name, err := r.TargetName(vars)
	if err != nil {
		return nil, err
	}
	t, ok := c.Book.Target(name)
	if !ok {
		return nil, fmt.Errorf("rule %s chooses target %q, which is not in the target files", r.Name, name)
	}
	return t, nil
}

func alertVars(a incident.Alert, now time.Time) expr.Vars {
	return expr.Vars{
		Alert: expr.Alert{
			Status: a.Status, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, EndsAt: a.EndsAt,
			Fingerprint: a.Fingerprint, Source: a.Source, Value: a.Value,
		},
		Group: expr.Group{Labels: a.GroupLabels},
		Now:   now,
	}
}

// closing writes a notification's ledger line from all that was decided. It goes with the last record that the
// notification makes, in its transaction: one commit makes both durable, and a decision made again makes the line again.
type closing func(decided []incident.Decision) *incident.Delivery

// after is the closing that knows of what was decided before; nil stays nil: another record is the last.
func (c closing) after(before []incident.Decision) closing {
	if c == nil {
		return nil
	}
	return func(decided []incident.Decision) *incident.Delivery { return c(slices.Concat(before, decided)) }
}

// deliverAll brings each target its mail, side by side, and the last one when the others are durable: with it goes the
// ledger line. Kept says that it did.
func (e *Engine) deliverAll(ctx context.Context, s sortedMail, line closing) (decided []incident.Decision, kept bool, err error) {
	names := slices.Sorted(maps.Keys(s.byTarget))
	if len(names) == 0 {
		return s.decided, false, nil
	}
	last := len(names) - 1
	group, together := errgroup.WithContext(ctx)
	if e.inTurn {
		group.SetLimit(1)
	}
	each := make([][]incident.Decision, len(names))
	for n, name := range names[:last] {
		group.Go(func() (err error) {
			each[n], _, err = e.deliver(together, s.byTarget[name], nil)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, false, err
	}
	before := append(s.decided, slices.Concat(each...)...)
	more, kept, err := e.deliver(ctx, s.byTarget[names[last]], line.after(before))
	return append(before, more...), kept, err
}

const (
	ledgerDecisions = 100
	ledgerBody      = 64 << 10
)

func ledgerLine(n Notification, now time.Time, config string, decisions []incident.Decision) *incident.Delivery {
	counts := map[string]int{}
	for _, d := range decisions {
		counts[d.Kind]++
	}
	return &incident.Delivery{
		At: now, Source: n.Source, Receiver: n.Receiver, GroupKey: n.GroupKey, Status: n.Status, Truncated: n.Truncated,
		Alerts: len(n.Alerts), Decisions: decisions[:min(len(decisions), ledgerDecisions)], Counts: counts,
		Config: config, Body: n.Body[:min(len(n.Body), ledgerBody)],
	}
}
