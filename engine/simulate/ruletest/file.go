// Package ruletest reads rule-test files, runs their tests in the simulated world, and holds what they expect against
// what happened. It stands on engine/simulate, which runs the production engine on virtual time; it decides nothing
// itself.
package ruletest

import (
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
)

// File is one rule-test file, read and checked. It never changes; its tests may run side by side.
type File struct {
	Path string
	// Configuration is what every test begins with.
	Configuration *engine.Configuration
	// PrometheusRules are rule files of Prometheus; with them the series alone drive the alerts.
	PrometheusRules map[string][]byte
	Interval        time.Duration
	// Alertmanager says how the alerts of PrometheusRules are grouped and repeated.
	Alertmanager Timing
	Tests        []*Test
}

// Sources are the files that a test runs with.
type Sources struct {
	// Config is an astern.yaml; empty for none.
	Config string
	// Files are read already. A kind that is nil is taken from Config.
	Files config.Files
}

// Timing is what Alertmanager's configuration says of when it notifies.
type Timing struct {
	GroupBy                                  []string
	GroupWait, GroupInterval, RepeatInterval time.Duration
}

// Test is one story: what happens when, and what must be so.
type Test struct {
	Name  string
	Line  int
	Start time.Time
	Armed bool
	// Ceiling stands in place of the configuration's modes; empty when nothing is written.
	Ceiling    incident.Mode
	Releases   []Release
	Series     []Series
	Alerts     []Alert
	Deliveries []Delivery

	Lost, PrometheusDown, AlertmanagerDown, WatchdogDead []Span
	Silences, Inhibitions                                []Muting

	Restarts []time.Duration
	Reloads  []Reload
	Jumps    []Jump
	Touches  []Touch
	Steps    map[string]StepSays
	Channels map[string]ChannelSays
	Wishes   []Wish
	Expect   []Expectation
}

// Release is one release of a target, told when its rollout ended.
type Release struct {
	Target string
	At     time.Duration
	Told   incident.Release // without its time
	// Rolling says that its rollout only began.
	Rolling bool
}

// Series is what Prometheus holds of one series, in promtool's form.
type Series struct {
	Series, Values string
}

// Alert is one alert from beginning to end.
type Alert struct {
	At, DeliverAt, StartsAt time.Duration
	Until                   *time.Duration
	Resolved                bool // an end without a beginning
	Labels, Annotations     map[string]string
	Repeat                  time.Duration
	Copies                  int
	Peers, Truncated        int
	Listed                  bool
	Quarantine, Note        string
	Source                  string
}

// Delivery is one notification as it arrives.
type Delivery struct {
	At               time.Duration
	Alerts           []Delivered
	Truncated, Peers int
	Source           string
}

// Delivered is one alert of a Delivery.
type Delivered struct {
	Status              string
	Labels, Annotations map[string]string
	StartsAt            time.Duration
	EndsAt              *time.Duration
	Quarantine, Note    string
}

// Span is a part of a test; Until is nil for the rest of it.
type Span struct {
	From  time.Duration
	Until *time.Duration
}

// Muting is a silence or an inhibition.
type Muting struct {
	Span
	Labels map[string]string
}

// Reload swaps the configuration.
type Reload struct {
	At            time.Duration
	Configuration *engine.Configuration
}

// Jump moves the wall clock.
type Jump struct{ At, By time.Duration }

// Touch is a change that somebody else makes to a target.
type Touch struct {
	At     time.Duration
	Target string
}

// Always is how often a step or a telling fails that never succeeds.
const Always = -1

// StepSays is what a step comes to.
type StepSays struct {
	Takes     time.Duration
	Fails     int
	Error     string
	Permanent bool
	Doubtful  bool
	Outputs   map[string]any
	Verify    string
}

// ChannelSays is what a channel's tellings come to.
type ChannelSays struct {
	Span
	Fails     int
	Error     string
	Permanent bool
}

// Wish is what a person does.
type Wish struct {
	Verb               string // the key of its list
	Line               int
	At, For            time.Duration
	By, Reason         string
	Refused            string
	Target, Scope      string
	Plan, Step, Effect string
	Rule               string
	Right              bool
	Version            string
	Verdict            incident.Standing
}

// Expectation is what must be so at a moment, or at each change in a span.
type Expectation struct {
	Line     int
	From     time.Duration
	Until    time.Duration // the same as From for a moment
	IsSpan   bool
	Target   string
	Incident string

	Phase                 []string
	Decision, Would       string
	Alert                 string
	Reason, ReasonMatches string
	Rule, Lead            string
	Plan, To, Leaves      string
	Mode, Guard           string
	Steps                 []string
	hasSteps              bool
	NoNewPlan, NoIncident bool
	Incidents             *int
	Notices               []NoticeSays
}

// NoticeSays is what must be so of what somebody is told.
type NoticeSays struct {
	Line            int
	To, Via         string
	Told, Overdue   *bool
	By, Within, Due *time.Duration
	Times           *int
}
