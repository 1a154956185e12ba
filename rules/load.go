package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"astern.dev/astern/rules/expr"
)

// Load reads rule files, by the names that mistakes are reported under. All mistakes are told at once; the set is nil
// when one of them is an error.
func Load(env *expr.Env, files map[string][]byte) (*Set, expr.Diagnostics) {
	set, found := Draft(env, files)
	if found.Err() != nil {
		return nil, found
	}
	return set, found
}

// Draft is Load that keeps the rules beside mistakes, so that what they name can be held against plans and every mistake
// is told in one go. The set of a draft with errors must not match alerts.
func Draft(env *expr.Env, files map[string][]byte) (*Set, expr.Diagnostics) {
	set := &Set{byName: map[string]*Rule{}}
	var found expr.Diagnostics
	for _, l := range readAll(env, files) {
		for _, r := range l.rules {
			set.add(r)
		}
		found = append(found, l.source.Diagnostics()...)
	}
	set.index = newIndex(set.rules)
	return set, found.Sorted()
}

// readAll reads each file by itself, as many at once as there are processors: to compile CEL is what a load takes.
func readAll(env *expr.Env, files map[string][]byte) []*loader {
	names := slices.Sorted(maps.Keys(files))
	all := make([]*loader, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n, name := range names {
		group.Go(func() error {
			all[n] = &loader{env: env}
			all[n].source, _ = expr.ParseFile(name, files[name])
			all[n].file(all[n].source)
			return nil
		})
	}
	_ = group.Wait() // what is wrong is told to the files
	return all
}

// add takes a rule in. Its name must be its own over all files.
func (s *Set) add(r *Rule) {
	s.rules = append(s.rules, r)
	name := r.node.Get("rule")
	if !name.IsString() || !ruleName.MatchString(r.Name) {
		return // told already
	}
	if first, twice := s.byName[r.Name]; twice {
		name.Report("rule/twice", fmt.Sprintf("the rule %q is there already", r.Name), fmt.Sprintf("first at %s:%d", first.File, first.Line))
		return
	}
	s.byName[r.Name] = r
}

// loader reads one file; source has what is wrong in it, too.
type loader struct {
	env    *expr.Env
	source *expr.File
	rules  []*Rule
}

func (l *loader) file(f *expr.File) {
	groups := map[string]*expr.Node{}
	for _, g := range f.Root().Map("groups").Get("groups").List() {
		name := g.Need("name")
		g = g.In("group "+g.Get("name").Name()).Map("name", "variables", "rules")
		if first := groups[name.Str()]; first != nil {
			name.Report("rule/group-twice", fmt.Sprintf("the group %q stands twice", name.Str()), fmt.Sprintf("first in line %d", first.Line()))
		}
		groups[name.Str()] = name
		l.group(f, g)
	}
}

func (l *loader) group(f *expr.File, g *expr.Node) {
	variables := l.variables(g)
	content := map[string][]byte{}
	for _, v := range variables {
		content[v.Name.Name()] = v.Value.Canonical()
	}
	defined := l.env.Define(expr.RuleWhen, variables)
	for _, n := range g.Need("rules").List() {
		if r := l.rule(f, n, defined); r != nil {
			r.Group, r.Digest, r.variables = g.Get("name").Name(), digest(r, content), variables
		}
	}
}

func (l *loader) variables(g *expr.Node) []expr.Variable {
	var all []expr.Variable
	for _, n := range g.Get("variables").List() {
		n.Map("name", "value")
		all = append(all, expr.Variable{Name: n.Need("name"), Value: n.Need("value")})
	}
	return all
}

// digest names a rule's content: its own text and that of the variables put into it.
func digest(r *Rule, variables map[string][]byte) string {
	h := sha256.New()
	h.Write(r.node.Canonical())
	for _, name := range r.uses() {
		fmt.Fprintf(h, "\x00%s\x00%s", name, variables[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

var ruleName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,99}$`)

func (l *loader) rule(f *expr.File, n *expr.Node, defined expr.Scope) *Rule {
	name := n.Get("rule").Name()
	n = n.In("rule "+name).Map("rule", "when", "mode", "for", "confirm", "do", "target", "labels", "annotations", "guards")
	if !n.IsMap() {
		return nil
	}
	r := &Rule{Name: name, File: f.Name, Line: n.Line(), node: n}
	readName(n.Need("rule"))
	l.when(n.Need("when"), r, defined)
	l.reach(n, r, defined)
	l.confirm(n, r, defined)
	r.For = n.Get("for").Duration()
	if guards := n.Get("guards"); guards.Exists() && !guards.IsMap() {
		guards.Report("rule/guards", "guards are a map such as {cooldown: 2h}", "")
	} else if guards.Exists() {
		r.Guards, _ = guards.Any().(map[string]any)
	}
	r.Labels, r.labels = l.templates(n.Get("labels"), defined)
	r.Annotations, r.annotations = l.templates(n.Get("annotations"), defined)
	l.rules = append(l.rules, r)
	return r
}

func readName(n *expr.Node) {
	if name := n.Str(); n.IsString() && !ruleName.MatchString(name) {
		n.Report("rule/name", fmt.Sprintf("%q is no name for a rule", name), "use letters, digits, - and _, beginning with a letter")
	}
}

// when must look at the alert: a condition that does not would hold for every alert of the house, or for none.
func (l *loader) when(n *expr.Node, r *Rule, defined expr.Scope) {
	r.When = n.Name()
	r.when, _ = l.env.Compile(defined, n, expr.Bool)
	if r.when != nil && !slices.Contains(r.when.Roots(), "alert") && !slices.Contains(r.when.Roots(), "group") {
		n.Report("rule/when", "does not look at the alert", "every alert would be judged alike: name a label, such as alert.labels.alertname")
	}
}

var plainName = regexp.MustCompile(`^[a-zA-Z0-9]+([._-][a-zA-Z0-9]+)*$`)

// reach reads what the rule would do, in which mode, and to which target.
func (l *loader) reach(n *expr.Node, r *Rule, defined expr.Scope) {
	if r.Mode = n.Get("mode").OneOf("observe", "suggest", "approve", "auto"); r.Mode == "" {
		r.Mode = "observe"
	}
	r.do = n.Need("do")
	r.Do = r.do.Identifier()
	target := n.Get("target")
	r.Target = target.Name()
	if target.IsString() && plainName.MatchString(r.Target) && !isVariable(defined, r.Target) {
		target.Report("rule/target", "a target's name is a CEL string", fmt.Sprintf("write it as '%q'", r.Target))
		return
	}
	r.target, _ = l.env.Compile(expr.RuleTarget.With(defined), target, expr.String)
}

func isVariable(scope expr.Scope, chain string) bool {
	first, _, _ := strings.Cut(chain, ".")
	return slices.Contains(scope.Names(), first)
}

func (l *loader) templates(n *expr.Node, defined expr.Scope) (map[string]string, map[string]*expr.Template) {
	source, all := map[string]string{}, map[string]*expr.Template{}
	for _, e := range n.Entries() {
		source[e.Key.Name()] = e.Value.Name()
		if t, _ := l.env.Template(expr.RuleText.With(defined), e.Value); t != nil {
			all[e.Key.Name()] = t
		}
	}
	return source, all
}
