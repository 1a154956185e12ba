package ruletest

import (
	"cmp"
	"fmt"
	"slices"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// named is what a test may name, over all configurations it runs with.
type named struct{ rules, targets, procedures, steps []string }

func (l *loader) names() *named {
	if len(l.configs) == 0 || l.found.Err() != nil {
		return nil // said already; what is named in files with mistakes is not known
	}
	all := &named{}
	for _, c := range l.configs {
		for _, r := range c.Rules.Rules() {
			all.rules = append(all.rules, r.Name)
		}
		for _, t := range c.Book.Targets() {
			all.targets = append(all.targets, t.Name)
		}
		for _, p := range c.Book.Procedures() {
			all.procedures = append(all.procedures, p.Name)
			for _, s := range p.Steps {
				all.steps = append(all.steps, s.Name)
			}
		}
	}
	for _, names := range []*[]string{&all.rules, &all.targets, &all.procedures, &all.steps} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return all
}

// target is the target that is named, or the only one there is; one of several must be named.
func (names *named) target(item *expr.Node) string {
	n := item.Get("target")
	switch {
	case names == nil:
	case n.Exists():
		known(n, "target", names.targets)
	case len(names.targets) == 1:
		return names.targets[0]
	default:
		n.Report("test/target", fmt.Sprintf("there are %d targets: say which", len(names.targets)), expr.Near("", names.targets))
	}
	return n.Str()
}

func (names *named) check(n *expr.Node, what string, of func(*named) []string) string {
	if names != nil && n.Exists() {
		known(n, what, of(names))
	}
	return n.Str()
}

func (l *loader) releases(n *expr.Node, names *named, t *Test) {
	for _, item := range n.Get("releases").List() {
		r := incident.Release{
			Version: item.Get("version").Str(), Commit: item.Get("commit").Str(), Digest: item.Get("digest").Str(),
			Verdict: incident.Standing(item.Get("verdict").Str()), Schema: item.Get("schema").Str(), Vars: item.Get("vars").StringMap(),
		}
		t.Releases = append(t.Releases, Release{names.target(item), readOffset(item.Get("at")), r, item.Get("rolling").Bool()})
	}
}

// answers reads what steps and channels come to.
func (l *loader) answers(n *expr.Node, names *named, t *Test) {
	t.Steps, t.Channels = map[string]StepSays{}, map[string]ChannelSays{}
	for _, e := range n.Get("steps").Entries() {
		if names != nil && !slices.Contains(names.steps, e.Key.Name()) {
			e.Key.Report("ref/step", fmt.Sprintf("no procedure has a step %q", e.Key.Name()), expr.Near(e.Key.Name(), names.steps))
		}
		s := StepSays{
			Takes: readOffset(e.Value.Get("takes")), Fails: fails(e.Value.Get("fails")), Error: e.Value.Get("error").Str(),
			Permanent: e.Value.Get("permanent").Bool(), Doubtful: e.Value.Get("doubtful").Bool(), Verify: e.Value.Get("verify").Str(),
		}
		if outputs, ok := e.Value.Get("outputs").Any().(map[string]any); ok {
			s.Outputs = outputs
		}
		t.Steps[e.Key.Name()] = s
	}
	for _, e := range n.Get("channels").Entries() {
		t.Channels[e.Key.Name()] = ChannelSays{
			Span: spanOf(e.Value), Fails: fails(e.Value.Get("fails")),
			Error: e.Value.Get("error").Str(), Permanent: e.Value.Get("permanent").Bool(),
		}
	}
}

func fails(n *expr.Node) int {
	if n.IsString() {
		return Always
	}
	return n.Int()
}

func (l *loader) wishes(n *expr.Node, names *named, t *Test) {
	for _, verb := range wishNames() {
		for _, item := range n.Get(verb).List() {
			t.Wishes = append(t.Wishes, wish(verb, item, names))
		}
	}
	slices.SortStableFunc(t.Wishes, func(a, b Wish) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Line, b.Line)) })
}

func wish(verb string, n *expr.Node, names *named) Wish {
	w := Wish{
		Verb: verb, Line: n.Line(), At: after(n.Get("at")), For: readOffset(n.Get("for")), By: cmp.Or(n.Get("by").Str(), "on-call"),
		Reason: cmp.Or(n.Get("reason").Str(), "the test says so"), Refused: n.Get("refused").Str(), Scope: cmp.Or(n.Get("scope").Str(), "all"),
		Plan: cmp.Or(n.Get("plan").Str(), "latest"), Step: names.check(n.Get("step"), "step", func(all *named) []string { return all.steps }),
		Rule: names.check(n.Get("rule"), "rule", func(all *named) []string { return all.rules }), Right: n.Get("right").Bool(), Effect: n.Get("effect").Str(), Version: n.Get("version").Str(), Verdict: incident.Standing(n.Get("verdict").Str()),
	}
	if slices.ContainsFunc(wishes[verb], func(k key) bool { return k.name == "target" }) {
		w.Target = names.target(n)
	}
	return w
}
