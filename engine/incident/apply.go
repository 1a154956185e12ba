package incident

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Apply is the incident with one more fact. It is total and cannot fail: late and double facts change nothing but the
// version. The incident given is not changed.
func Apply(i Incident, e Event) Incident {
	i.Rules = slices.Clone(i.Rules)
	i.Steps = slices.Clone(i.Steps)
	i.News = slices.Clone(i.News)
	i.Notices = slices.Clone(i.Notices)
	switch e.Fact.(type) {
	case AlertsSeen, AlertsEnded: // the only facts that touch episodes, of which a storm has many
		i.Episodes = maps.Clone(i.Episodes)
	}
	i.apply(e)
	return i
}

// Replay is the sum of a whole history.
func Replay(events []Event) Incident {
	var i Incident
	for _, e := range events {
		i.apply(e)
	}
	return i
}

func (i *Incident) apply(e Event) {
	i.Version = e.Version
	if e.At.After(i.Now) {
		i.Now = e.At
	}
	switch f := e.Fact.(type) {
	case Opened:
		i.opened(f, e)
	case AlertsSeen:
		i.alertsSeen(f, e)
	case AlertsEnded:
		i.alertsEnded(f)
	case Requested:
		i.requested(f, e)
	case Reconfigured:
		i.reconfigured(f)
	case Judged:
		i.judged(f, e)
	case Approved:
		i.approved(f, e)
	case Declined:
		i.refused(Refusal{By: e.By, Reason: f.Reason}, e)
	case Aborted:
		i.refused(Refusal{By: e.By, Reason: f.Reason, Abort: true}, e)
	case Marked:
		i.marked(e)
	case WouldActMarked:
		i.Labels = append(slices.Clone(i.Labels), RuleMark{f.Rule, f.Right, e.By, f.Reason, e.At})
	case HealthSeen:
		i.healthSeen(f, e)
	case Ended:
		i.ended(f, e)
	default:
		i.applyStep(e)
		i.applyNotice(e)
	}
}

func (i *Incident) opened(f Opened, e Event) {
	if i.ID != "" {
		return
	}
	i.ID, i.Target, i.Environment = f.ID, f.Target, f.Environment
	i.OpenedAt, i.Phase, i.Reason = e.At, Pending, "opened"
}

func (i *Incident) alertsSeen(f AlertsSeen, e Event) {
	if i.Episodes == nil {
		i.Episodes = map[string]*Episode{}
	}
	for _, a := range f.Alerts {
		i.seeAlert(f.Rule, a)
	}
	if i.Phase.Final() {
		return
	}
	n := i.join(f, e)
	i.Rules[n].SeenAt = later(i.Rules[n].SeenAt, e.At)
	for _, a := range f.Alerts {
		if ep := i.Episodes[a.ID]; ep.Open() && (i.Rules[n].Since.IsZero() || ep.StartsAt.Before(i.Rules[n].Since)) {
			i.Rules[n].Since = ep.StartsAt
		}
	}
	i.Severity = highestSeverity(i.Rules)
}

func (i *Incident) seeAlert(rule string, a Seen) {
	was, known := i.Episodes[a.ID]
	var ep Episode
	if known {
		ep = *was // an earlier incident still holds it
	}
	if !known || (!ep.Open() && a.StartsAt.After(ep.EndedAt)) {
		ep = Episode{Source: a.Source, Fingerprint: a.Fingerprint, StartsAt: a.StartsAt}
	} else if !ep.Open() {
		ep.EndedAt = time.Time{} // found again; the engine has asked Alertmanager before it says so
	}
	if !slices.Contains(ep.Rules, rule) {
		ep.Rules = append(slices.Clone(ep.Rules), rule)
	}
	i.Episodes[a.ID] = &ep
}

// join gives the place of the rule, adding it when it is new.
func (i *Incident) join(f AlertsSeen, e Event) int {
	for n := range i.Rules {
		if i.Rules[n].Rule == f.Rule {
			return n
		}
	}
	j := Joined{Rule: f.Rule, Mode: f.Mode, For: f.For, Severity: f.Severity, Summary: f.Summary, Digest: f.Digest, JoinedAt: e.At}
	if f.Sample != nil {
		j.Sample = *f.Sample
	}
	i.Rules = append(i.Rules, j)
	if i.Lead != "" && f.Mode.Rank() >= Approve.Rank() {
		i.tell(e.At, false, "rule %s joins as evidence", f.Rule)
	}
	return len(i.Rules) - 1
}

func (i *Incident) alertsEnded(f AlertsEnded) {
	for _, a := range f.Alerts {
		ep, known := i.Episodes[a.ID]
		if !known || !ep.Open() || a.EndsAt.Before(ep.StartsAt) {
			continue
		}
		ended := *ep
		ended.EndedAt = a.EndsAt
		i.Episodes[a.ID] = &ended
	}
	since := map[string]time.Time{}
	for _, ep := range i.Episodes {
		if !ep.Open() {
			continue
		}
		for _, rule := range ep.Rules {
			if first, ok := since[rule]; !ok || ep.StartsAt.Before(first) {
				since[rule] = ep.StartsAt
			}
		}
	}
	for n := range i.Rules {
		i.Rules[n].Since = since[i.Rules[n].Rule]
	}
	if lead := i.leading(); lead != nil && lead.Since.IsZero() && !i.Touched && !i.Phase.Final() {
		i.layDown("the alerts of rule " + i.Lead + " resolved before anything was changed")
	}
}

// leading is the rule that leads; nil when none does.
func (i *Incident) leading() *Joined {
	for n := range i.Rules {
		if i.Rules[n].Rule == i.Lead {
			return &i.Rules[n]
		}
	}
	return nil
}

// layDown takes back whatever was planned, offered or approved while nothing was changed yet: who is due is judged again.
func (i *Incident) layDown(why string) {
	i.Lead, i.Phase, i.Plan, i.Steps, i.Offer, i.Approval = "", Pending, nil, nil, nil, nil
	i.Reason, i.RetryAt, i.Findings = why, time.Time{}, nil
	for n := range i.Rules {
		if j := i.Rules[n].Judgement; j != nil && j.Verdict != Tell && j.Verdict != Watch {
			i.Rules[n].Judgement = nil
		}
	}
}

func (i *Incident) requested(f Requested, e Event) {
	if i.Phase.Final() || i.Request != nil || i.Touched {
		return
	}
	i.Request = &Request{By: e.By, Reason: f.Reason, Plan: f.Plan, At: e.At}
	if !i.committed() { // a person leads from now on, whatever a rule offered or held
		i.layDown("requested by " + e.By)
	}
	i.tell(e.At, false, "%s asks for a rollback: %s", e.By, f.Reason)
}

func (i *Incident) reconfigured(f Reconfigured) {
	if i.Phase.Final() {
		return
	}
	for _, r := range f.Rules {
		n := slices.IndexFunc(i.Rules, func(j Joined) bool { return j.Rule == r.Rule })
		switch {
		case n < 0 || ((i.committed() || i.Touched) && i.Lead == r.Rule): // a running procedure keeps the version it started with (S28)
			continue
		case r.Gone:
			i.Rules = slices.Delete(i.Rules, n, n+1)
		default:
			j := &i.Rules[n]
			j.Mode, j.For, j.Severity, j.Digest, j.Judgement = r.Mode, r.For, r.Severity, r.Digest, nil
		}
		if i.Lead == r.Rule {
			i.layDown("rule " + r.Rule + " was changed: it is judged again")
		}
	}
	i.Severity = highestSeverity(i.Rules)
}

func (i *Incident) approved(f Approved, e Event) {
	if i.Phase != AwaitingApproval || i.Offer == nil || i.Offer.Plan != f.Plan || !e.At.Before(i.Offer.Until) || i.approvalStands() {
		return
	}
	i.Approval = &Approval{Plan: f.Plan, By: e.By, Comment: f.Comment, At: e.At, Until: f.Until}
	i.RetryAt = time.Time{}
	i.Reason = fmt.Sprintf("plan %s approved by %s", Short(f.Plan), e.By)
	i.tell(e.At, false, "%s", i.Reason)
}

func (i *Incident) refused(r Refusal, e Event) {
	if i.Phase.Final() || i.Refusal != nil {
		return
	}
	i.Refusal = &r
	verb := "rejected"
	if r.Abort {
		verb = "aborted"
	}
	i.Reason = fmt.Sprintf("%s by %s: %s", verb, r.By, r.Reason)
	if i.Lead != "" || i.Request != nil {
		i.tell(e.At, false, "%s", i.Reason)
	}
}

func (i *Incident) ended(f Ended, e Event) {
	if i.Phase.Final() {
		return
	}
	i.Phase, i.Reason, i.EndedAt, i.RetryAt = f.Phase, f.Reason, e.At, time.Time{}
	if i.Story > 0 {
		i.tell(e.At, i.Touched && f.Phase != Succeeded || f.Phase == Failed, "%s: %s", f.Phase, f.Reason)
	}
}

// tell adds a chapter to the story that people are owed.
func (i *Incident) tell(at time.Time, urgent bool, format string, args ...any) {
	i.Story++
	i.News = append(i.News, News{Story: i.Story, At: at, Text: fmt.Sprintf(format, args...), Urgent: urgent})
	if len(i.News) > maxNews {
		i.News = slices.Clone(i.News[len(i.News)-maxNews:])
	}
}

const maxNews = 40

// committed says whether a plan was taken up: its steps run, or will.
func (i *Incident) committed() bool { return len(i.Steps) > 0 }

func (i *Incident) approvalStands() bool { return i.Approval != nil && i.Now.Before(i.Approval.Until) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

var severities = []string{"none", "info", "low", "warning", "minor", "medium", "error", "major", "high", "critical"}

// highestSeverity is the highest among the joined rules; a word that is not on the list ranks lowest.
func highestSeverity(rules []Joined) string {
	best := ""
	for _, r := range rules {
		if best == "" || slices.Index(severities, r.Severity) > slices.Index(severities, best) {
			best = r.Severity
		}
	}
	return best
}
