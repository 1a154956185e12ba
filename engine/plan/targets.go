package plan

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// class is what many targets share.
type class struct {
	name      string
	procedure string
	healthy   *Healthy
	vars      map[string]any
	guards    incident.Guards
}

// loadTargets reads classes of all files first: a target may use a class of another file.
func (b *Book) loadTargets(files []*expr.File) {
	for _, f := range files {
		root := f.Root().Map("classes", "targets")
		for _, n := range root.Get("classes").List() {
			b.readClass(n)
		}
	}
	for _, f := range files {
		for _, n := range f.Root().Get("targets").List() {
			b.readTarget(n)
		}
	}
	b.checkSelectors()
	b.checkWorkloads()
	b.bySelect = newSelectors(b.targets)
}

func (b *Book) readClass(n *expr.Node) {
	name := n.Need("name").Str()
	n = n.In("class "+name).Map("name", "procedure", "healthy", "vars", "guards")
	if !targetName(n.Get("name"), name) {
		return
	}
	if b.classes[name] != nil {
		n.Get("name").Report("name/twice", fmt.Sprintf("the class %q stands twice", name), "")
		return
	}
	b.classes[name] = &class{name: name, procedure: b.procedureOf(n.Get("procedure")), healthy: b.readHealthy(n.Get("healthy")),
		vars: readVars(n.Get("vars")), guards: readGuards(n.Get("guards"))}
}

func (b *Book) readTarget(n *expr.Node) {
	name := n.Need("name").Str()
	n = n.In("target "+name).Map("name", "class", "procedure", "select", "environment", "mode", "owner", "user_facing", "workload", "connections", "vars", "healthy", "guards")
	if !targetName(n.Get("name"), name) {
		return
	}
	if b.byName[name] != nil {
		n.Get("name").Report("name/twice", fmt.Sprintf("the target %q stands twice", name), "")
		return
	}
	owner := n.Get("owner").Map("team", "slack")
	t := &Target{Name: name, Environment: n.Need("environment").Str(), UserFacing: n.Get("user_facing").Bool(),
		Mode: incident.Mode(n.Get("mode").OneOf(modeNames()...)), Owner: Owner{owner.Get("team").Str(), owner.Get("slack").Str()},
		Select: readSelect(n.Get("select")), Workload: readWorkload(n.Get("workload")), Connections: b.readConnections(n.Get("connections")), node: n}
	t.Team, t.UID = t.Owner.Team, t.Environment+"/"+t.Name
	targetName(n.Get("environment"), t.Environment)
	b.classed(t, n)
	b.targets, b.byName[name] = append(b.targets, t), t
}

// readWorkload takes names that the API server would take; whether the object is there is found out when it is read.
func readWorkload(n *expr.Node) *Workload {
	if !n.Exists() {
		return nil
	}
	n.Map("kind", "namespace", "name")
	w := &Workload{Kind: n.Need("kind").OneOf(WorkloadKinds()...), Namespace: n.Need("namespace").Str(), Name: n.Need("name").Str()}
	for key, value := range map[string]string{"namespace": w.Namespace, "name": w.Name} {
		if value != "" && !objectName.MatchString(value) {
			n.Get(key).Report("name/form", fmt.Sprintf("%q is not the name of an object in a cluster", value), "use a-z, 0-9, '-' and '.', beginning and ending with a letter or digit")
		}
	}
	return w
}

var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// classed gives the target what its class says where it says nothing itself.
func (b *Book) classed(t *Target, n *expr.Node) {
	c := b.classOf(n.Get("class"))
	t.Class = c.name
	own := readGuards(n.Get("guards"))
	t.Guards = incident.Merge(own, c.guards)
	t.Levels = []Level{{"target/" + t.Name, own}}
	if c.name != "" {
		t.Levels = append(t.Levels, Level{"class/" + c.name, c.guards})
	}
	t.Procedure = cmp.Or(b.procedureOf(n.Get("procedure")), c.procedure)
	t.Vars = mergeVars(c.vars, readVars(n.Get("vars")))
	healthy := cmp.Or(b.readHealthy(n.Get("healthy")), c.healthy)
	if healthy == nil && (c.name == "" && n.Get("class").Exists() || n.Misspelt("class", "healthy")) {
		return // told already
	}
	if healthy == nil {
		n.Get("name").Report("target/healthy", "nothing says when the target is healthy", "write `healthy:` with queries, or `healthy: {waived: reason}`")
		return
	}
	t.Healthy = healthy.of(t)
}

// classOf is the class that a target names; one without a name when it names none, or one that there is not.
func (b *Book) classOf(n *expr.Node) *class {
	if c := b.classes[n.Str()]; c != nil {
		return c
	}
	if n.Exists() {
		n.Report("ref/class", fmt.Sprintf("there is no class %q", n.Str()), expr.Near(n.Str(), slices.Sorted(maps.Keys(b.classes))))
	}
	return &class{}
}

// procedureOf is the name of a procedure that there is; empty when none is written.
func (b *Book) procedureOf(n *expr.Node) string {
	name := n.Str()
	if _, ok := b.Procedure(name); !ok && name != "" {
		n.Report("ref/procedure", fmt.Sprintf("there is no procedure %q", name), expr.Near(name, b.procedureNames()))
	}
	return name
}

// readSelect: a selector that selects everything, or by nothing, is refused (S17).
func readSelect(n *expr.Node) map[string]string {
	all := n.StringMap()
	if n.IsMap() && len(all) == 0 {
		n.Report("target/select", "an empty select would mean every alert", "name labels, or leave `select` out and name the target in a rule")
	}
	for _, e := range n.Entries() {
		switch value := all[e.Key.Name()]; {
		case e.Value.IsString() && value == "", !e.Value.Exists():
			e.Key.Report("target/select", fmt.Sprintf("the label %s is selected by nothing", e.Key.Name()), "write the value that the label must have")
		case strings.Contains(value, "${"):
			e.Value.Report("target/select", "a selector is plain text: ${…} is not read here", "")
		}
	}
	return all
}

// checkSelectors refuses a target that can never be chosen alone: whatever its select meets, another's meets too.
func (b *Book) checkSelectors() {
	for _, t := range b.targets {
		for _, other := range b.targets {
			if other == t || len(other.Select) == 0 || !other.selects(t.Select) {
				continue
			}
			t.node.Get("select").Report("target/select", fmt.Sprintf("alerts that choose %s choose %s as well: neither would be acted on", t.Name, other.Name), "add a label that tells them apart")
		}
	}
}

// checkWorkloads refuses two targets for one object: each would undo what the other did.
func (b *Book) checkWorkloads() {
	type object struct {
		cluster string
		Workload
	}
	first := map[object]string{}
	for _, t := range b.targets {
		if t.Workload == nil {
			continue
		}
		o := object{t.Connections["kubernetes"], *t.Workload}
		if other, twice := first[o]; twice {
			t.node.Get("workload").Report("target/workload", fmt.Sprintf("%s is the target %s already", t.Workload, other), "one object is one target")
			continue
		}
		first[o] = t.Name
	}
}

// readConnections takes kinds that exist; whether the names do is for CheckConnections.
func (b *Book) readConnections(n *expr.Node) map[string]string {
	for _, e := range n.Entries() {
		if _, ok := b.registry.Connection(e.Key.Name()); !ok {
			e.Key.Report("ref/connection-kind", fmt.Sprintf("there is no kind of connection %q", e.Key.Name()), expr.Near(e.Key.Name(), b.registry.Kinds()))
		}
	}
	return n.StringMap()
}

var varName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// readVars: free values. Names below the first level are data; a text with ${…} would not be read, so it is refused.
func readVars(n *expr.Node) map[string]any {
	vars := map[string]any{}
	for _, e := range n.Entries() {
		if !varName.MatchString(e.Key.Name()) {
			e.Key.Report("name/form", fmt.Sprintf("%q is not a name such as smoke_tests", e.Key.Name()), "use a-z, 0-9 and _, beginning with a letter")
			continue
		}
		noTemplates(e.Value)
		vars[e.Key.Name()] = e.Value.Any()
	}
	return vars
}

func noTemplates(n *expr.Node) {
	switch {
	case n.IsMap():
		for _, e := range n.Entries() {
			noTemplates(e.Value)
		}
	case n.IsList():
		for _, item := range n.List() {
			noTemplates(item)
		}
	case n.IsString() && strings.Contains(n.Str(), "${"):
		n.Report("target/vars", "vars are plain values: ${…} is not read here", "write ${…} in the procedure, where the value is used")
	}
}

// mergeVars puts the target's vars over its class's; maps merge key by key, everything else is replaced whole.
func mergeVars(under, over map[string]any) map[string]any {
	merged := maps.Clone(under)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range over {
		below, isMap := merged[key].(map[string]any)
		if above, too := value.(map[string]any); isMap && too {
			value = mergeVars(below, above)
		}
		merged[key] = value
	}
	return merged
}

func readGuards(n *expr.Node) incident.Guards {
	written := map[string]any{}
	entries := map[string]expr.Entry{}
	for _, e := range n.Entries() {
		written[e.Key.Name()], entries[e.Key.Name()] = e.Value.Any(), e
	}
	guards, problems := incident.GuardsFrom(written)
	for _, p := range problems {
		if !slices.Contains(incident.GuardNames(), p.Name) {
			entries[p.Name].Key.Report("guard/unknown", p.Error(), expr.Near(p.Name, incident.GuardNames()))
			continue
		}
		entries[p.Name].Value.Report("guard/value", p.Error(), "")
	}
	return guards
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// targetName says that a name can be typed, logged and put in a URL.
func targetName(n *expr.Node, name string) bool {
	if nameForm.MatchString(name) {
		return true
	}
	if n.IsString() {
		n.Report("name/form", fmt.Sprintf("%q is not a name", name), "use letters, digits, '.', '_' and '-'")
	}
	return false
}

func modeNames() []string {
	names := make([]string, len(incident.Modes))
	for i, m := range incident.Modes {
		names[i] = string(m)
	}
	return names
}
