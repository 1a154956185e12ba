package plan

import (
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// RuleRef is what a rule says about plans: rules and plans do not know each other.
type RuleRef struct {
	Name, Do string
	// Target is the rule's `target:` in CEL; empty when alerts choose by `select`.
	Target string
	Mode   incident.Mode
	// Reaches says whether the rule can choose a target; nil is every target. It may err on the side of yes.
	Reaches func(*Target) bool
	// DoAt and TargetAt are where the rule says so: mistakes are told there. Their File must be set.
	DoAt, TargetAt expr.Diagnostic
}

// Check renders, offline, every plan that a rule can reach for every target that it can choose, and each target's own
// procedure, which a person may ask for (T6). All but target.* and constants is unknown.
func (b *Book) Check(rules []RuleRef) expr.Diagnostics {
	return b.check(rules, false)
}

// CheckNames says only whether what rules name is there. It may be asked of files with mistakes, whose plans cannot be
// rendered.
func (b *Book) CheckNames(rules []RuleRef) expr.Diagnostics {
	return b.check(rules, true)
}

func (b *Book) check(rules []RuleRef, names bool) expr.Diagnostics {
	c := &checking{book: b, names: names, done: map[planned]bool{}}
	c.reach(rules)
	return append(c.found, c.told()...).Sorted()
}

// reach goes through every plan that a rule or a person can lead to.
func (c *checking) reach(rules []RuleRef) {
	for _, r := range rules {
		c.rule(r)
	}
	for _, t := range c.book.targets {
		if p, ok := c.book.Procedure(t.Procedure); ok {
			c.plan(t, p)
		}
	}
}

// planned is one plan that was looked at: rules share them.
type planned struct{ target, procedure string }

type checking struct {
	book     *Book
	names    bool // plans are not rendered
	done     map[planned]bool
	found    expr.Diagnostics
	findings []*finding
	// each is asked of every plan instead of rendering it.
	each func(*Target, *Procedure)
}

// finding is one mistake in a procedure with all the targets that show it.
type finding struct {
	at      *expr.Node
	message string
	targets []*Target
}

func (c *checking) rule(r RuleRef) {
	if _, ok := c.book.Procedure(r.Do); !ok && r.Do != rollback {
		c.report(r.DoAt, "ref/procedure", fmt.Sprintf("there is no procedure %q", r.Do), expr.Near(r.Do, append(c.book.procedureNames(), rollback)))
		return
	}
	targets, ok := c.targetsOf(r)
	if !ok {
		return
	}
	if len(targets) == 0 {
		at := r.DoAt
		at.Warning = true
		c.report(at, "ref/no-target", fmt.Sprintf("the rule %s can choose no target", r.Name), "")
	}
	if c.names {
		return // which procedure is a target's own is a question of whole files
	}
	for _, t := range targets {
		p, err := c.book.procedureFor(t, r.Do)
		if err != nil {
			c.report(r.DoAt, "ref/procedure", err.Error(), "")
			continue
		}
		c.plan(t, p)
	}
}

func (c *checking) report(at expr.Diagnostic, code, message, hint string) {
	at.Code, at.Message, at.Hint = code, message, hint
	c.found = append(c.found, at)
}

// targetsOf are the targets that a rule can choose; ok is false when it names one that there is not.
func (c *checking) targetsOf(r RuleRef) (targets []*Target, ok bool) {
	if name := c.book.constantTarget(r.Target); name != "" {
		t, ok := c.book.Target(name)
		if !ok {
			c.report(r.TargetAt, "ref/target", fmt.Sprintf("target %q is not defined", name), expr.Near(name, c.book.targetNames()))
			return nil, false
		}
		return []*Target{t}, true
	}
	for _, t := range c.book.targets {
		if (r.Target != "" || len(t.Select) > 0) && (r.Reaches == nil || r.Reaches(t)) {
			targets = append(targets, t)
		}
	}
	return targets, true
}

// constantTarget is the name that `target:` gives whatever the alert says; empty when it depends on the alert.
func (b *Book) constantTarget(source string) string {
	if source == "" {
		return ""
	}
	f, _ := expr.ParseFile("", []byte(yamlQuoted(source)))
	program, _ := b.env.Compile(expr.RuleTarget, f.Root(), expr.String)
	if program == nil {
		return "" // it uses its group's variables, which are not constants
	}
	name, err := program.EvalPartial(expr.Bind(expr.Vars{}))
	if err != nil {
		return ""
	}
	text, _ := name.(string)
	return text
}

func (b *Book) targetNames() []string {
	names := make([]string, len(b.targets))
	for i, t := range b.targets {
		names[i] = t.Name
	}
	return names
}

func (c *checking) plan(t *Target, p *Procedure) {
	key := planned{t.Name, p.Name}
	if c.names || c.done[key] {
		return
	}
	c.done[key] = true
	if c.each != nil {
		c.each(t, p)
		return
	}
	for _, s := range p.Steps {
		if s.with == nil {
			continue
		}
		for _, m := range s.offline(t) {
			c.add(t, m)
		}
	}
	for i := range t.Healthy.Queries {
		q := t.Healthy.Queries[i].query
		if _, err := q.render(view{vars: expr.Vars{Target: t.ExprTarget()}, offline: true}); err != nil {
			c.add(t, mistake{q, err.Error()})
		}
	}
}

func (c *checking) add(t *Target, m mistake) {
	i := slices.IndexFunc(c.findings, func(f *finding) bool { return f.at == m.at.node && f.message == m.message })
	if i < 0 {
		c.findings = append(c.findings, &finding{m.at.node, m.message, nil})
		i = len(c.findings) - 1
	}
	if f := c.findings[i]; !slices.Contains(f.targets, t) {
		f.targets = append(f.targets, t)
	}
}

// told says each mistake once, with the targets that show it.
func (c *checking) told() expr.Diagnostics {
	var all expr.Diagnostics
	for _, f := range c.findings {
		all = append(all, f.at.Diagnostic("plan/render", f.message+" ("+forTargets(f.targets)+")", ""))
	}
	return all
}

func forTargets(targets []*Target) string {
	const listed = 3
	var names []string
	for _, t := range targets[:min(len(targets), listed)] {
		names = append(names, t.Name)
	}
	text := "target " + strings.Join(names, ", ")
	if more := len(targets) - listed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// CheckConnections reports connections that targets and steps name and the installation does not have; known are the
// configured names by kind.
func (b *Book) CheckConnections(known map[string][]string) expr.Diagnostics {
	var found expr.Diagnostics
	for _, t := range b.targets {
		for _, e := range t.node.Get("connections").Entries() {
			kind, name := e.Key.Name(), t.Connections[e.Key.Name()]
			if !slices.Contains(known[kind], name) {
				found = append(found, e.Value.Diagnostic("ref/connection", fmt.Sprintf("there is no connection %s/%s", kind, name), expr.Near(name, known[kind])))
			}
		}
	}
	all := []string{}
	for _, names := range known {
		all = append(all, names...)
	}
	for _, p := range b.procedures {
		for _, s := range p.Steps {
			if s.Connection != "" && !slices.Contains(all, s.Connection) {
				found = append(found, s.node.Get("connection").Diagnostic("ref/connection", fmt.Sprintf("there is no connection %q", s.Connection), expr.Near(s.Connection, all)))
			}
		}
	}
	return found.Sorted()
}
