package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"astern.dev/astern/rules/expr"
)

// param is one value of a step's parameters as written, bound to the Go type that it is for. It never changes.
type param struct {
	node  *expr.Node
	path  string
	typ   reflect.Type // nil when there is none: the value is reported already
	keys  []string     // of a dict, with their values in items
	items []*param
	isMap bool
	list  bool
	text  *expr.Template
	value any // of a literal
}

// binding is one reading of parameters.
type binding struct {
	env   *expr.Env
	scope expr.Scope
	// late says that outputs of earlier steps may be named.
	late bool
}

// value binds a node to a type. Mistakes are reported to the node's file.
func (b binding) value(n *expr.Node, t reflect.Type, path string) *param {
	p := &param{node: n, path: path, typ: indirect(t)}
	switch {
	case !n.Exists():
		p.isMap = path == ""
	case n.IsMap():
		b.dict(p)
	case n.IsList():
		b.items(p)
	case n.IsString() && strings.Contains(n.Str(), "${"):
		b.template(p)
	default:
		p.value = literal(n)
		p.fits(p.value)
	}
	return p
}

// literal keeps a date a text and a number a number.
func literal(n *expr.Node) any {
	if n.IsString() {
		return n.Str()
	}
	return n.Any()
}

func (b binding) dict(p *param) {
	p.isMap = true
	if !isDict(p.typ) && p.typ.Kind() != reflect.Interface {
		p.node.Report("param/kind", p.says("takes "+kindName(p.typ)+", not a map"), "")
		return
	}
	for _, e := range p.node.Entries() {
		key := e.Key.Name()
		if !e.Value.Exists() {
			continue // `key:` with nothing behind it counts as not written
		}
		if strings.Contains(key, "${") {
			e.Key.Report("param/key", "${…} is not read in a key", "write it in the value")
			continue
		}
		t, ok := child(p.typ, key)
		if !ok {
			names := fieldsOf(p.typ).names
			e.Key.Report("param/unknown", fmt.Sprintf("there is no parameter %q", join(p.path, key)), expr.Near(key, names))
			continue
		}
		p.keys = append(p.keys, key)
		p.items = append(p.items, b.value(e.Value, t, join(p.path, key)))
	}
}

func (b binding) items(p *param) {
	p.list = true
	if !isList(p.typ) && p.typ.Kind() != reflect.Interface {
		p.node.Report("param/kind", p.says("takes "+kindName(p.typ)+", not a list"), "")
		return
	}
	t := p.typ
	if isList(t) {
		t = t.Elem()
	}
	for i, item := range p.node.List() {
		p.items = append(p.items, b.value(item, t, fmt.Sprintf("%s[%d]", p.path, i)))
	}
}

func (b binding) template(p *param) {
	t, _ := b.env.Template(b.scope, p.node)
	if t == nil {
		return
	}
	p.text = t
	switch roots := t.Roots(); {
	case slices.Contains(roots, "now") && b.late:
		p.node.Report("param/now", "a plan must not change with the time of day", "`now` is not for parameters")
	case t.Late() && b.late:
		t.CheckLate()
	}
	if placeOf(p.typ) == asPromQL {
		_ = t.CheckPromQL() // reported to the file, as all mistakes are
	}
	if !p.accepts(t.Kind()) {
		p.node.Report("param/kind", p.says(fmt.Sprintf("takes %s, this gives %s", kindName(p.typ), t.Kind())), kindHint(t.Kind(), p.typ))
	}
	if t.Constant() {
		p.fits("")
	}
}

// accepts says whether a value of the kind can stand here. What types cannot tell is looked at when it is rendered.
func (p *param) accepts(k expr.Kind) bool {
	switch {
	case k == expr.Any || p.typ.Kind() == reflect.Interface:
		return true
	case ReadsText(p.typ):
		return k == expr.String || k == expr.Duration || k == expr.Timestamp
	case isDict(p.typ):
		return k == expr.Map
	case isList(p.typ):
		return k == expr.List
	}
	switch p.typ.Kind() {
	case reflect.String:
		return k == expr.String || k == expr.Duration || k == expr.Timestamp
	case reflect.Bool:
		return k == expr.Bool
	case reflect.Float32, reflect.Float64:
		return k == expr.Int || k == expr.Double
	}
	return k == expr.Int
}

func kindHint(k expr.Kind, t reflect.Type) string {
	switch {
	case t.Kind() == reflect.String:
		return "write string(…) around the expression"
	case k == expr.String && (t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64):
		return "write double(…) around the expression"
	case k == expr.String && !isDict(t) && !isList(t) && t.Kind() != reflect.Bool:
		return "write int(…) around the expression"
	}
	return ""
}

// fits reports a literal that its parameter does not take.
func (p *param) fits(v any) {
	if v == nil || p.text != nil && !p.text.Constant() {
		return
	}
	if p.text != nil {
		v = p.text.Source()
	}
	if err := fill(reflect.New(p.typ).Elem(), v, ""); err != nil {
		p.node.Report("param/value", p.says(err.Error()), "")
	}
}

func (p *param) says(problem string) string {
	if p.path == "" {
		return "`with` " + problem
	}
	return "parameter " + p.path + ": " + problem
}

// all visits the parameter and everything in it.
func (p *param) all(see func(*param)) {
	see(p)
	for _, item := range p.items {
		item.all(see)
	}
}

// at finds the parameter that a path such as "weights[0].server" leads to, or the nearest above it.
func (p *param) at(path string) *param {
	nearest := p
	p.all(func(inner *param) {
		if rest, ok := strings.CutPrefix(path, inner.path); ok && len(inner.path) > len(nearest.path) && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			nearest = inner
		}
	})
	return nearest
}
