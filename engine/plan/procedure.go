package plan

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Procedure is named steps: acts, never decides.
type Procedure struct {
	Name  string
	File  string
	Line  int
	Steps []*Step

	node *expr.Node
}

// Step is one step as written, its parameters bound to the action's own struct.
type Step struct {
	Name, Uses string
	// Connection chooses another connection than the target's; empty takes that one.
	Connection string
	Timeout    time.Duration
	Attempts   int
	Backoff    time.Duration
	OnFailure  incident.OnFailure

	entry actions.Entry
	with  *param
	node  *expr.Node
}

// What holds where a step says nothing. Every step has a deadline (S22); actions converge, so a few attempts are safe.
const (
	defaultTimeout  = 5 * time.Minute
	defaultAttempts = 3
	defaultBackoff  = 2 * time.Second
	maxAttempts     = 100
)

func (b *Book) loadProcedures(files []*expr.File) {
	for _, f := range files {
		for _, n := range f.Root().Map("procedures").Get("procedures").List() {
			b.readProcedure(n)
		}
	}
}

func (b *Book) readProcedure(n *expr.Node) {
	name := n.Need("name").Identifier()
	n = n.In("procedure "+name).Map("name", "steps")
	p := &Procedure{Name: name, File: n.File().Name, Line: n.Line(), node: n}
	switch _, twice := b.Procedure(name); {
	case twice:
		n.Get("name").Report("name/twice", fmt.Sprintf("the procedure %q stands twice", name), "")
	case name == rollback:
		n.Get("name").Report("name/form", `"rollback" means each target's own procedure: call this one something else`, "")
	}
	steps := n.Need("steps")
	if steps.IsList() && len(steps.List()) == 0 {
		steps.Report("procedure/empty", "a procedure without a step does nothing", "")
	}
	earlier := map[string]any{} // step -> a zero value of its outputs
	for _, item := range steps.List() {
		s := b.readStep(item, name, earlier)
		if _, twice := earlier[s.Name]; twice {
			item.Get("name").Report("name/twice", fmt.Sprintf("the step %q stands twice", s.Name), "")
		}
		p.Steps = append(p.Steps, s)
		if s.Name != "" && s.entry.New != nil {
			earlier[s.Name] = s.entry.New().Outputs()
		}
	}
	if name != "" {
		b.procedures = append(b.procedures, p)
	}
}

func (b *Book) readStep(n *expr.Node, procedure string, earlier map[string]any) *Step {
	name := n.Need("name").Identifier()
	n = n.In("procedure "+procedure+", step "+name).Map("name", "uses", "with", "timeout", "retry", "on_failure", "connection")
	s := &Step{Name: name, Uses: n.Need("uses").Str(), Connection: n.Get("connection").Str(), node: n,
		Timeout: defaultTimeout, Attempts: defaultAttempts, Backoff: defaultBackoff,
		OnFailure: incident.OnFailure(n.Get("on_failure").OneOf(string(incident.Escalate), string(incident.Repair), string(incident.Continue)))}
	if s.OnFailure == "" {
		s.OnFailure = incident.Escalate
	}
	retry := n.Get("retry").Map("attempts", "backoff")
	within(n.Get("timeout"), &s.Timeout, (*expr.Node).Duration, time.Second, 24*time.Hour)
	within(retry.Get("attempts"), &s.Attempts, (*expr.Node).Int, 1, maxAttempts)
	within(retry.Get("backoff"), &s.Backoff, (*expr.Node).Duration, 0, time.Hour)
	b.readUse(s, earlier)
	return s
}

// within reads a number between two bounds, when it is written.
func within[T ~int | ~int64](n *expr.Node, into *T, read func(*expr.Node) T, least, most T) {
	if !n.Exists() {
		return
	}
	if *into = read(n); *into < least || *into > most {
		n.Report("procedure/bounds", fmt.Sprintf("want %v to %v", least, most), "")
	}
}

func (b *Book) readUse(s *Step, earlier map[string]any) {
	entry, ok := b.registry.Action(s.Uses)
	if !ok {
		b.unknownAction(s)
		return
	}
	s.entry = entry
	if _, can := entry.New().(actions.Repairer); s.OnFailure == incident.Repair && !can {
		s.node.Get("on_failure").Report("procedure/repair", s.Uses+" cannot undo its own half effect", "write escalate or continue")
	}
	bind := binding{env: b.env, scope: expr.Procedure(earlier), late: true}
	s.with = bind.value(s.node.Get("with"), reflect.TypeOf(entry.New()).Elem(), "")
}

func (b *Book) unknownAction(s *Step) {
	n := s.node.Get("uses")
	if _, channel := b.registry.Channel(s.Uses); channel {
		n.Report("ref/channel", s.Uses+" tells people: that is owed in a communication, never a step", "")
		return
	}
	if s.Uses != "" {
		n.Report("ref/action", fmt.Sprintf("there is no action %q", s.Uses), expr.Near(s.Uses, b.registry.ActionNames()))
	}
}

// rollback is the word for a target's own procedure.
const rollback = "rollback"

// Procedure finds a procedure by its name.
func (b *Book) Procedure(name string) (*Procedure, bool) {
	i := slices.IndexFunc(b.procedures, func(p *Procedure) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return b.procedures[i], true
}

// Procedures are all procedures in the order of the files.
func (b *Book) Procedures() []*Procedure { return slices.Clone(b.procedures) }

func (b *Book) procedureNames() []string {
	var names []string
	for _, p := range b.procedures {
		names = append(names, p.Name)
	}
	return names
}
