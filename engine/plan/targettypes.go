package plan

import (
	"slices"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Target is what can be rolled back. What its class says is merged in; the target's own word wins.
type Target struct {
	Name, Class, Environment, UID string
	// Procedure is what `do: rollback` means for it; empty when only named procedures may be used.
	Procedure string
	// Mode is the target's ceiling; empty when it writes none.
	Mode       incident.Mode
	Select     map[string]string
	Owner      Owner
	Team       string
	UserFacing bool
	// Workload is the object in a cluster that runs it; nil when it runs somewhere else.
	Workload    *Workload
	Connections map[string]string // kind -> name
	Vars        map[string]any
	Healthy     Healthy
	// Guards is what target and class write, the target's word first; Levels are the same apart, nearest first, for
	// limits that hold at every level.
	Guards incident.Guards
	Levels []Level

	node *expr.Node
}

// ExprTarget is the target as expressions see it.
func (t *Target) ExprTarget() expr.Target {
	e := expr.Target{Name: t.Name, Environment: t.Environment, UID: t.UID, Class: t.Class, UserFacing: t.UserFacing,
		Owner: expr.Owner{Team: t.Owner.Team, Slack: t.Owner.Slack}, Vars: t.Vars}
	if t.Workload != nil {
		e.Workload = expr.Workload(*t.Workload)
	}
	return e
}

// Workload names an object of a Kubernetes cluster. A Service stands for what its selector picks (blue/green).
type Workload struct{ Kind, Namespace, Name string }

func (w Workload) String() string { return w.Kind + " " + w.Namespace + "/" + w.Name }

// WorkloadKinds are the kinds that a target may name.
func WorkloadKinds() []string { return []string{"Deployment", "StatefulSet", "DaemonSet", "Service"} }

// Target finds a target by its name.
func (b *Book) Target(name string) (*Target, bool) { t, ok := b.byName[name]; return t, ok }

// Targets are all targets in the order of the files.
func (b *Book) Targets() []*Target { return slices.Clone(b.targets) }

// Level is one place that writes guards, such as "target/api" or "class/web".
type Level struct {
	Scope  string
	Guards incident.Guards
}

// Owner is who answers for a target.
type Owner struct{ Team, Slack string }

// Healthy says when a rolled back target counts as well again (S23).
type Healthy struct {
	// For is how long all queries must hold without a break; Patience is how long that may take at most.
	For, Patience time.Duration
	Queries       []HealthQuery
	// Waived is the reason why no query can say it.
	Waived string
}

// HealthQuery is one PromQL query and what its answer must meet.
type HealthQuery struct {
	// Text and Condition are as written.
	Text, Condition string

	query  *param
	holds  *expr.Program
	target *Target
}
