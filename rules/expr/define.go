package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
)

// Variable is one named sub-expression as a file writes it.
type Variable struct {
	// Name is the node that names it, Value its CEL.
	Name, Value *Node
}

// Define gives the scope with variables added, each usable in the others whatever their order. Mistakes (a name taken
// twice, a circle, wrong CEL) are reported to the file; the scope has all variables that are right.
func (e *Env) Define(scope Scope, variables []Variable) Scope {
	d := &defining{env: e, scope: scope, nodes: map[string]Variable{}, state: map[string]int{}}
	scope.known = slices.Clone(scope.known)
	d.scope = scope
	for _, v := range variables {
		d.declare(v)
	}
	for _, v := range variables {
		d.resolve(v.Name.Name(), nil)
	}
	return d.scope
}

// With gives a scope the variables that another one defines. Those that read what the scope does not know are
// reported where they are used.
func (s Scope) With(defined Scope) Scope {
	s.known, s.broken = defined.known, defined.broken
	return s
}

type defining struct {
	env   *Env
	scope Scope
	nodes map[string]Variable
	state map[string]int // 1 being resolved, 2 done
}

func (d *defining) declare(v Variable) {
	name := v.Name.Identifier()
	switch {
	case name == "":
	case !v.Value.Exists():
		d.scope.broken = append(slices.Clone(d.scope.broken), name)
	case slices.Contains(rootNames(), name) || slices.Contains(reserved, name):
		v.Name.Report("variable/name", fmt.Sprintf("%q has a meaning of its own", name), "take another name")
	case d.nodes[name].Name != nil:
		v.Name.Report("variable/twice", fmt.Sprintf("the variable %q is there already", name), fmt.Sprintf("first in line %d", d.nodes[name].Name.Line()))
	default:
		d.nodes[name] = v
	}
}

// reserved are words of CEL and names of its functions that a variable would hide.
var reserved = []string{"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
	"package", "namespace", "return", "var", "void", "while", "int", "uint", "double", "bool", "string", "bytes", "list", "map", "type", "dyn",
	"timestamp", "duration", "size", "has", "matches"}

// resolve compiles a variable after those it names; way is how it came there.
func (d *defining) resolve(name string, way []string) {
	v, ok := d.nodes[name]
	if !ok || d.state[name] == 2 {
		return
	}
	if d.state[name] == 1 {
		circle := append(way[slices.Index(way, name):], name)
		v.Value.Report("variable/circle", "variables go in a circle: "+strings.Join(circle, " -> "), "")
		d.state[name] = 2
		d.scope.broken = append(slices.Clone(d.scope.broken), name)
		return
	}
	d.state[name] = 1
	for _, other := range d.named(v.Value) {
		d.resolve(other, append(slices.Clone(way), name))
	}
	if d.state[name] != 2 {
		d.state[name] = 2
		d.compile(name, v)
	}
}

// named are the variables that an expression names; none when it is no CEL.
func (d *defining) named(n *Node) []string {
	env, err := d.env.scope(d.scope)
	if err != nil || !n.IsString() {
		return nil
	}
	parsed, issues := env.Parse(n.yaml.Value)
	if issues.Err() != nil {
		return nil
	}
	var names []string
	visit(parsed.NativeRep().Expr(), func(x ast.Expr) {
		if x.Kind() == ast.IdentKind && d.nodes[x.AsIdent()].Name != nil {
			names = append(names, x.AsIdent())
		}
	})
	return names
}

func (d *defining) compile(name string, v Variable) {
	p, _ := d.env.Compile(d.scope, v.Value, Any)
	if p == nil {
		d.scope.broken = append(slices.Clone(d.scope.broken), name)
		return
	}
	d.scope.known = append(slices.Clone(d.scope.known), &definition{name: name, ast: p.ast, roots: p.roots, uses: p.uses, size: sizeOf(p.ast), program: p})
}

func sizeOf(a *cel.Ast) int {
	n := 0
	visit(a.NativeRep().Expr(), func(ast.Expr) { n++ })
	return n
}
