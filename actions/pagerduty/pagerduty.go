// Package pagerduty calls the person on duty through PagerDuty's Events API v2: one alert an incident, a second one when a
// person must come after all, and both closed when nothing is left to do.
// It imports actions, actions/client and actions/message.
package pagerduty

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
)

const (
	kind         = "pagerduty"
	urgentSuffix = "/urgent"
)

// PagerDuty opens an alert when an incident begins. It acknowledges it once a person has the incident in hand and
// resolves it when the incident ends well or without a change. A failure, a doubt or an open approval after the first
// telling opens a second alert, so that a person is paged again.
type PagerDuty struct {
	// Severity is critical, error, warning or info; without a word it follows the incident's.
	Severity string `yaml:"severity,omitempty"`
}

// Family is what this package registers.
func Family() actions.Family {
	return actions.Family{
		Actions: []actions.Entry{{
			New:     func() actions.Action { return new(PagerDuty) },
			Channel: true, Updates: true,
			Example: "to: on_call\nvia: pagerduty\nwithin: 0s\n",
		}},
		Kind:          kind,
		NewConnection: func() actions.Connection { return new(Connection) },
	}
}

// Name is "pagerduty".
func (*PagerDuty) Name() string { return kind }

// Outputs is nil: a notice has none.
func (*PagerDuty) Outputs() any { return nil }

var severities = []string{"critical", "error", "warning", "info"}

// Validate says what is wrong.
func (a *PagerDuty) Validate() error {
	if a.Severity != "" && !slices.Contains(severities, a.Severity) {
		return fmt.Errorf("severity %q is not one of %s", a.Severity, strings.Join(severities, ", "))
	}
	return nil
}

// Plan asks nothing of PagerDuty.
func (*PagerDuty) Plan(context.Context, actions.Env) (actions.Change, error) {
	return actions.Change{Changes: true, Summary: "page the person on duty by pagerduty"}, nil
}

// Run tells the notice. PagerDuty takes an event with the same key twice as one, so a telling in doubt is told again.
func (a *PagerDuty) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	integration, notice, err := message.Telling[*Integration](env, kind)
	if err != nil {
		return actions.Result{}, err
	}
	doubt := notice.InDoubt || env.Attempt > 1
	for _, e := range a.events(notice, doubt) {
		if err := integration.send(ctx, e); err != nil {
			return actions.Result{}, err
		}
	}
	return actions.Result{Summary: "told pagerduty", Ref: dedupKey(notice.ID, "")}, nil
}

// events are what a telling comes to. No alert is triggered again once it was resolved: that would page for nothing.
func (a *PagerDuty) events(n *actions.Notice, doubt bool) []event {
	main, urgent := dedupKey(n.ID, ""), dedupKey(n.ID, urgentSuffix)
	m := n.Message
	if !n.First {
		return append(a.follow(n, urgent), settle(m, main)...)
	}
	if !message.Settled(m) || m.Urgent {
		return []event{trigger(n, main, a.severity(m))}
	}
	// It was over before anyone was told: say so without a page. An attempt in doubt may have opened the alert.
	if doubt {
		return []event{resolve(main), change(n)}
	}
	return []event{change(n)}
}

// follow keeps the second alert open exactly while a person must come.
func (a *PagerDuty) follow(n *actions.Notice, urgent string) []event {
	if must(n.Message) {
		return []event{trigger(n, urgent, a.severity(n.Message))}
	}
	return []event{resolve(urgent)}
}

// must says that a person has to come: asked for, or because the incident ended in something broken.
func must(m actions.Message) bool { return m.Urgent || (m.Final && !message.Settled(m)) }

// settle closes the first alert, or says that a person has it in hand. What failed stays open.
func settle(m actions.Message, main string) []event {
	switch {
	case message.Settled(m):
		return []event{resolve(main)}
	case m.Taken:
		return []event{acknowledge(main)}
	}
	return nil
}

// severity follows the incident's own. Where a person must come it is one that wakes people.
func (a *PagerDuty) severity(m actions.Message) string {
	if a.Severity != "" {
		return a.Severity
	}
	switch strings.ToLower(m.Severity) {
	case "critical", "page", "fatal", "emergency", "disaster", "p1", "sev1":
		return "critical"
	case "warning", "warn", "medium", "minor", "p3", "sev3":
		return quiet(m, "warning")
	case "info", "information", "notice", "low", "none", "p4", "sev4", "p5", "sev5":
		return quiet(m, "info")
	}
	return "error"
}

func quiet(m actions.Message, severity string) string {
	if must(m) {
		return "error"
	}
	return severity
}
