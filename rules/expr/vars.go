package expr

import "time"

// Vars are the values an expression can see: plain Go values, filled by whoever evaluates.
type Vars struct {
	Alert    Alert
	Group    Group
	Target   Target
	Release  ReleasePair
	Incident Incident
	// Steps are the outputs of finished steps, as JSON decodes them.
	Steps map[string]map[string]any
	Now   time.Time
}

// Alert is `alert`. Every word of it may be a stranger's.
type Alert struct {
	Status              string // firing or resolved
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	Fingerprint         string
	// Source is the name of the configured sender, by its credential.
	Source string
	// Value is optional: Alertmanager sends none.
	Value *float64
}

// Group is `group`: what the notification's alerts were grouped by.
type Group struct{ Labels map[string]string }

// Target is `target`: configuration, so its words are trusted.
type Target struct {
	Name, Environment, UID, Class string
	UserFacing                    bool
	Owner                         Owner
	Workload                      Workload
	// Vars are free values: map[string]any, []any, string, int64, float64, bool.
	Vars map[string]any
}

// Owner is `target.owner`.
type Owner struct{ Team, Slack string }

// Workload is `target.workload`: the object in a cluster that is rolled back. All empty when the target has none.
type Workload struct{ Kind, Namespace, Name string }

// ReleasePair is `release`: what runs now and what ran before.
type ReleasePair struct{ Current, Previous Release }

// Release is one version of a target. An empty field counts as missing.
type Release struct {
	Version, Commit, Digest string
	At                      time.Time // when its rollout ended
	Verdict, Schema         string
	Vars                    map[string]string
}

// Incident is `incident`.
type Incident struct {
	ID, Severity, Phase, Rule string
	OpenedAt                  time.Time
}

// Bound is a set of values made ready to be looked at by many expressions. It is read only and safe for concurrent use.
type Bound struct {
	vars  Vars
	value any // the sample of a query; nil outside of `holds`
	// silent says that nobody will ask what was missing.
	silent bool
}

// Bind makes values ready.
func Bind(v Vars) *Bound { return &Bound{vars: v} }

// Hold makes a Bound of the caller's own show the alert, the group and the time of v: all that a `when` sees. It is for
// Program.Try, which does not ask what is missing, and not for sharing; Release forgets the values.
func (b *Bound) Hold(v *Vars) {
	b.silent = true
	b.vars.Alert, b.vars.Group, b.vars.Now = v.Alert, v.Group, v.Now
}

// Release forgets what Hold made it show.
func (b *Bound) Release() { b.vars.Alert, b.vars.Group = Alert{}, Group{} }

// BindValue makes values ready for `holds`, which sees the sample as `value`.
func BindValue(v Vars, value float64) *Bound { return &Bound{vars: v, value: value} }

// Vars are the values bound.
func (b *Bound) Vars() *Vars { return &b.vars }
