package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

// coalesce is how long the word that an alert fires stands before it is written down again.
const coalesce = 15 * time.Second

// deliver brings one target its mail: to its open incident, to the closed one that holds the episode, or to a new one.
// The line, if there is one, goes with the last record; kept says that it did.
func (e *Engine) deliver(ctx context.Context, box *mail, line closing) (decided []incident.Decision, kept bool, err error) {
	if len(box.order) == 0 {
		return e.deliverEnded(ctx, box, line)
	}
	decided, _, err = e.deliverEnded(ctx, box, nil)
	if err != nil {
		return nil, false, err
	}
	for n, l := range box.order {
		last := line.after(decided)
		if n < len(box.order)-1 {
			last = nil
		}
		more, stored, err := e.deliverFiring(ctx, box, l, last)
		if err != nil {
			return nil, false, err
		}
		decided, kept = append(decided, more...), stored
	}
	return decided, kept, nil
}

func (e *Engine) deliverFiring(ctx context.Context, box *mail, l *letter, line closing) (decided []incident.Decision, kept bool, err error) {
	for tries := 0; tries < 5; tries++ {
		if id, open := e.index.openFor(box.target.Name); open {
			decided, err = e.join(ctx, id, box, l, line)
			kept = line != nil
		} else {
			decided, kept, err = e.open(ctx, box, l, line)
		}
		if !errors.Is(err, errMoved) {
			return decided, kept, err
		}
	}
	return nil, false, fmt.Errorf("deliver to %s: its incident kept changing: %w", box.target.Name, incident.ErrUnavailable)
}

// errMoved: the incident that was to be joined has ended, or a rival opened one. Look again.
var errMoved = errors.New("the target's open incident changed")

// join adds what is new to an open incident; repeats within the coalescing time add nothing.
func (e *Engine) join(ctx context.Context, id string, box *mail, l *letter, line closing) ([]incident.Decision, error) {
	var late []incident.Seen
	var decided []incident.Decision
	r := e.incidents.record(ctx, incidentStream(id), func(i incident.Incident) (draft, error) {
		if i.Phase.Final() {
			return draft{}, errMoved
		}
		kind := "repeated"
		var fresh, known []incident.Seen
		late = nil
		j, joined := joinedRule(i, l.rule.Name)
		for _, a := range l.alerts {
			switch ep, seen := i.Episodes[a.ID]; {
			case seen && ep.Open() && joined && slices.Contains(ep.Rules, l.rule.Name):
				known = append(known, a)
			case !seen || ep.Open() || a.StartsAt.After(ep.EndedAt):
				fresh = append(fresh, a)
			default:
				late = append(late, a)
			}
		}
		if len(fresh) > 0 {
			kind = "joined"
		}
		decided = decisions(l, box, id, kind, late)
		switch {
		case len(fresh) > 0:
		case len(known) == 0 || e.now().Sub(j.SeenAt) < coalesce:
			return draft{}.with(line, decided), nil
		default: // one speaks for all that are known: a storm is not written down again and again
			fresh = known[:1]
		}
		return facts(box.source, e.seen(box, l, fresh, !joined)).with(line, decided), nil
	})
	if errors.Is(r.err, errMoved) {
		e.index.learn(r.state) // it has ended: whoever remembered it as open is late
	}
	if r.err != nil {
		return nil, r.err
	}
	e.index.knows(l.alerts, box.target.Name, id)
	e.askLate(box, l, late)
	return decided, nil
}

func (e *Engine) seen(box *mail, l *letter, alerts []incident.Seen, first bool) incident.AlertsSeen {
	vars := l.vars
	vars.Target = box.target.ExprTarget()
	f := incident.AlertsSeen{
		Rule: l.rule.Name, Mode: e.modeFor(l.rule, box.target), For: l.rule.For, Severity: l.rule.Severity(vars),
		Digest: l.rule.Digest, Alerts: alerts, Note: l.note,
	}
	if first {
		sample := l.sample
		f.Sample, f.Summary = &sample, l.rule.Summary(vars)
	}
	return f
}

// open begins an incident for alerts that belong to no earlier episode of the target (S2, S10).
func (e *Engine) open(ctx context.Context, box *mail, l *letter, line closing) (decided []incident.Decision, kept bool, err error) {
	past, err := e.pastIncidents(ctx, box.target.Name, earliest(l.alerts))
	if err != nil {
		return nil, false, err
	}
	var fresh, late []incident.Seen
	var old string
	for _, a := range l.alerts {
		holder, ep, known := pastEpisode(past, a)
		switch {
		case !known || (!ep.Open() && a.StartsAt.After(ep.EndedAt)):
			fresh = append(fresh, a)
		case !ep.Open() && box.listed && holder.Phase == incident.Cancelled:
			fresh = append(fresh, a) // its end was no end, and nothing was done: Alertmanager shows that it fires
		case ep.Open():
			old = holder.ID
		default:
			old, late = holder.ID, append(late, a)
		}
	}
	e.askLate(box, l, late)
	if len(fresh) == 0 {
		d := decisions(l, box, old, "repeated", late)
		for n := range d {
			d[n].Reason = "this episode belongs to " + old + ", which has ended: it starts nothing again"
		}
		return d, false, nil
	}
	id := box.target.Name + "-" + strconv.Itoa(nextNumber(past))
	decided = decisions(l, box, id, "opened", late)
	r := e.incidents.record(ctx, incidentStream(id), func(i incident.Incident) (draft, error) {
		if i.Version > 0 {
			return draft{}, errMoved
		}
		opened := incident.Opened{ID: id, Target: box.target.Name, Environment: box.target.Environment}
		d := facts(box.source, opened, e.seen(box, l, fresh, true))
		d.take = []incident.Claim{{Pool: "open/" + box.target.Name, Limit: 1}}
		return d.with(line, decided), nil
	})
	var claimed *incident.ClaimedError
	if errors.As(r.err, &claimed) {
		e.learnHolder(ctx, claimed)
		return nil, false, errMoved
	}
	if r.err != nil {
		return nil, false, r.err
	}
	e.index.knows(fresh, box.target.Name, id)
	return decided, line != nil, nil
}

func (e *Engine) learnHolder(ctx context.Context, claimed *incident.ClaimedError) {
	for _, place := range claimed.By {
		if i, err := e.incidents.load(ctx, place.Holder); err == nil {
			e.index.learn(i)
		}
	}
}

// pastLimit is how many incidents of a target are asked whether an alert's episode is theirs.
const pastLimit = 50

// pastIncidents are the newest incidents of a target. Those that ended before a time are no more than their numbers: an
// alert that began after them is none of theirs.
func (e *Engine) pastIncidents(ctx context.Context, target string, since time.Time) ([]incident.Incident, error) {
	heads, err := e.store.Heads(ctx, incident.HeadFilter{Target: target, Limit: pastLimit})
	if err != nil {
		return nil, fmt.Errorf("list the incidents of %s: %w", target, err)
	}
	past := make([]incident.Incident, 0, len(heads))
	for _, h := range heads {
		i := incident.Incident{ID: h.ID, Target: h.Target, Phase: h.Phase, EndedAt: h.EndedAt}
		if !h.Phase.Final() || !h.EndedAt.Before(since) {
			known, err := e.incidents.load(ctx, incidentStream(h.ID))
			switch {
			case errors.Is(err, incident.ErrCompacted): // its episodes are forgotten, its number still counts
			case err != nil:
				return nil, err
			default:
				i = known
			}
		}
		past = append(past, i)
	}
	return past, nil
}

// pastEpisode is the alert's last episode and the incident that holds it. An alert that began after an incident ended is
// a new one, even when nobody told that the old one resolved.
func pastEpisode(past []incident.Incident, a incident.Seen) (incident.Incident, *incident.Episode, bool) {
	for _, i := range past {
		after := i.Phase.Final() && a.StartsAt.After(i.EndedAt)
		if ep, known := i.Episodes[a.ID]; known && !after {
			return i, ep, true
		}
	}
	return incident.Incident{}, nil, false
}

func earliest(alerts []incident.Seen) time.Time {
	return slices.MinFunc(alerts, func(a, b incident.Seen) int { return a.StartsAt.Compare(b.StartsAt) }).StartsAt
}

func nextNumber(past []incident.Incident) int {
	highest := 0
	for _, i := range past {
		if n, err := strconv.Atoi(i.ID[strings.LastIndexByte(i.ID, '-')+1:]); err == nil {
			highest = max(highest, n)
		}
	}
	return highest + 1
}

// deliverEnded closes episodes in the incident that holds them, open or ended. The line goes with the last of these.
func (e *Engine) deliverEnded(ctx context.Context, box *mail, line closing) (decided []incident.Decision, kept bool, err error) {
	holders, decided, err := e.holders(ctx, box)
	if err != nil {
		return nil, false, err
	}
	for n, id := range slices.Sorted(maps.Keys(holders)) {
		last := line
		if n < len(holders)-1 {
			last = nil
		}
		if kept, err = e.endEpisodes(ctx, id, box, holders[id], last, decided); err != nil {
			return nil, false, err
		}
	}
	return decided, kept, nil
}

// holders files the alerts that ended with the incidents that hold their episodes.
func (e *Engine) holders(ctx context.Context, box *mail) (holders map[string][]ending, decided []incident.Decision, err error) {
	holders = map[string][]ending{}
	var past []incident.Incident
	for _, a := range box.ended {
		id, known := e.index.incidentOf(a.ID, box.target.Name)
		if !known && past == nil {
			if past, err = e.pastIncidents(ctx, box.target.Name, box.began()); err != nil {
				return nil, nil, err
			}
		}
		if !known {
			var holder incident.Incident
			holder, _, known = pastEpisode(past, incident.Seen{ID: a.ID, StartsAt: a.alert.StartsAt})
			id = holder.ID
		}
		if !known {
			decided = append(decided, decision(a.alert, "unmatched", "resolved, and it was never seen firing here"))
			continue
		}
		holders[id] = append(holders[id], a)
		d := decision(a.alert, "ended", "")
		d.Target, d.Incident = box.target.Name, id
		decided = append(decided, d)
	}
	return holders, decided, nil
}

// began is the earliest start among the alerts that ended.
func (m *mail) began() time.Time {
	return slices.MinFunc(m.ended, func(a, b ending) int { return a.alert.StartsAt.Compare(b.alert.StartsAt) }).alert.StartsAt
}

func (e *Engine) endEpisodes(ctx context.Context, id string, box *mail, ends []ending, line closing, decided []incident.Decision) (kept bool, err error) {
	var gone []string
	r := e.incidents.record(ctx, incidentStream(id), func(i incident.Incident) (draft, error) {
		var f incident.AlertsEnded
		gone = nil
		for _, a := range ends {
			if ep, known := i.Episodes[a.ID]; known && ep.Open() && !a.EndsAt.Before(ep.StartsAt) {
				f.Alerts = append(f.Alerts, a.AlertEnd)
				gone = append(gone, a.ID)
			}
		}
		if len(f.Alerts) == 0 {
			return draft{}.with(line, decided), nil
		}
		return facts(box.source, f).with(line, decided), nil
	})
	compacted := errors.Is(r.err, incident.ErrCompacted) // removed meanwhile: nobody is left to be told
	if r.err != nil && !compacted {
		return false, r.err
	}
	e.index.ended(gone, box.target.Name)
	return line != nil && !compacted, nil
}

func decisions(l *letter, box *mail, id, kind string, late []incident.Seen) []incident.Decision {
	isLate := map[string]bool{}
	for _, a := range late {
		isLate[a.ID] = true
	}
	out := make([]incident.Decision, 0, len(l.alerts))
	for _, a := range l.alerts {
		d := incident.Decision{
			Alert: a.ID, Labels: l.labels[a.ID], Status: "firing", Kind: kind, Rule: l.rule.Name,
			Target: box.target.Name, Incident: id, Reason: l.note,
		}
		if isLate[a.ID] {
			d.Kind, d.Reason = "late", "it starts before this episode ended: Alertmanager is asked whether it fires"
		}
		out = append(out, d)
	}
	return out
}

func joinedRule(i incident.Incident, rule string) (incident.Joined, bool) {
	for _, j := range i.Rules {
		if j.Rule == rule {
			return j, true
		}
	}
	return incident.Joined{}, false
}
