package expr

import (
	"fmt"
	"reflect"
	"slices"
)

// What a template reads of earlier steps is not known when a plan is made: it stays `${steps.…}` and is rendered later.

// LateScope is the scope of what was left for later: the outputs that are there by then, whatever their types.
func LateScope(outputs map[string]map[string]any) Scope {
	steps := map[string]any{}
	for name, values := range outputs {
		var fields []reflect.StructField
		for output := range values {
			fields = append(fields, reflect.StructField{
				Name: fmt.Sprintf("F%d", len(fields)), Type: reflect.TypeFor[any](), Tag: reflect.StructTag(fmt.Sprintf("json:%q", output)),
			})
		}
		steps[name] = reflect.New(reflect.StructOf(fields)).Elem().Interface()
	}
	return Late(steps)
}

// Late is LateScope with the outputs' types known: name -> a zero value of the step's outputs.
func Late(steps map[string]any) Scope {
	return Scope{name: "procedure", roots: []string{"steps"}, steps: steps}
}

// Late says that the template reads outputs of earlier steps.
func (t *Template) Late() bool { return slices.Contains(t.Roots(), "steps") }

// CheckLate reports each `${…}` that reads an earlier step's output beside anything else: half of it is known when the
// plan is made, half of it later.
func (t *Template) CheckLate() {
	for _, p := range t.parts {
		if p.prog != nil && slices.Contains(p.prog.roots, "steps") && len(p.prog.roots) > 1 {
			t.node.file.add(t.node.within(p.at, width(p.text), "template/late",
				fmt.Sprintf("the outputs of steps cannot be mixed with %q in one expression", other(p.prog.roots)), "write two ${…}"))
		}
	}
}

func other(roots []string) string {
	return roots[slices.IndexFunc(roots, func(root string) bool { return root != "steps" })]
}

// EarlyParts are Parts with what reads earlier steps left as it is written, `${…}` included; late says which those are.
func (t *Template) EarlyParts(v Vars) (parts []Part, late []bool, err error) {
	b := Bind(v)
	late = make([]bool, len(t.parts))
	parts = make([]Part, len(t.parts))
	for i, p := range t.parts {
		one := &Template{parts: []piece{p}}
		if late[i] = p.prog != nil && slices.Contains(p.prog.roots, "steps"); late[i] {
			parts[i] = Part{Text: "${" + p.text + "}", Value: true}
			continue
		}
		rendered, err := one.partsBy(func(p *Program) (any, error) { return p.EvalIn(b) })
		if err != nil {
			return nil, nil, err
		}
		parts[i] = rendered[0]
	}
	return parts, late, nil
}
