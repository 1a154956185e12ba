package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// LateError says that a step's parameters wait for outputs of earlier steps.
type LateError struct{ Text string }

func (e *LateError) Error() string { return "a parameter waits for an earlier step: " + e.Text }

// Action makes the action of a stored step, ready to run, and gives its parameters as run: late ones rendered from the
// outputs of the steps that are done (as JSON decodes them). Without outputs a step that needs some is a *LateError.
// It reads the step alone, so that a plan of an older configuration runs as it was approved (S28).
func (b *Book) Action(step incident.Step, outputs map[string]map[string]any) (actions.Action, incident.Params, error) {
	entry, ok := b.registry.Action(step.Uses)
	if !ok {
		return nil, nil, fmt.Errorf("this version has no action %q", step.Uses)
	}
	value, err := decode(step.With)
	if err != nil {
		return nil, nil, err
	}
	if len(outputs) == 0 && isLate(value) {
		return nil, nil, &LateError{firstLate(value)}
	}
	t := reflect.TypeOf(entry.New()).Elem()
	value, err = b.settle(value, t, "", settling{b.lateScope(step, outputs), expr.Vars{Steps: outputs}})
	if err != nil {
		return nil, nil, err
	}
	action, err := build(entry, value)
	if err != nil {
		return nil, nil, err
	}
	with, err := encode(value)
	return action, with, err
}

// With is the same book with other hands: the actions it makes come from that registry. Whoever simulates puts them into
// something that leaves the world alone (actions.Registry.Around).
func (b *Book) With(r *actions.Registry) *Book {
	other := *b
	other.registry = r
	return &other
}

// Channel makes the action that tells a notice.
func (b *Book) Channel(via string, with incident.Params) (actions.Action, error) {
	entry, ok := b.registry.Channel(via)
	if !ok {
		return nil, fmt.Errorf("this version has no channel %q", via)
	}
	value, err := decode(with)
	if err != nil {
		return nil, err
	}
	return build(entry, value)
}

// build fills a new action with rendered parameters and validates it.
func build(entry actions.Entry, value any) (actions.Action, error) {
	action := entry.New()
	if err := fill(reflect.ValueOf(action).Elem(), unquote(value), ""); err != nil {
		return nil, err
	}
	if err := action.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", action.Name(), err)
	}
	return entry.Made(action), nil
}

// settling is what late texts are rendered with.
type settling struct {
	scope expr.Scope
	vars  expr.Vars
}

// settle renders the late texts of stored parameters.
func (b *Book) settle(v any, t reflect.Type, path string, with settling) (any, error) {
	t = indirect(t)
	switch v := v.(type) {
	case string:
		if !isLate(v) {
			return v, nil
		}
		return b.settleText(v, t, path, with)
	case []any:
		return b.settleList(v, t, path, with)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			inner, ok := child(t, key)
			if !ok {
				return nil, &ParamError{join(path, key), "there is no parameter of this name", fieldsOf(t).names}
			}
			var err error
			if out[key], err = b.settle(item, inner, join(path, key), with); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func (b *Book) settleList(list []any, t reflect.Type, path string, with settling) (any, error) {
	if isList(t) {
		t = t.Elem()
	}
	out := make([]any, len(list))
	for i, item := range list {
		var err error
		if out[i], err = b.settle(item, t, fmt.Sprintf("%s[%d]", path, i), with); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *Book) settleText(text string, t reflect.Type, path string, with settling) (any, error) {
	f, problems := expr.ParseFile("the plan", []byte(yamlQuoted(text)))
	if problems.Err() != nil {
		return nil, wrong(path, "%v", problems)
	}
	bind := binding{env: b.env, scope: with.scope}
	p := bind.value(f.Root(), t, path)
	if found := f.Diagnostics(); found.Err() != nil {
		return nil, wrong(path, "%s: %s", text, found[0].Message)
	}
	return p.render(view{vars: with.vars, final: true})
}

// lateScope types the outputs as the procedure that has this step does. Without one (it was changed since) they are
// typed by the action that has such outputs, and at last by what is there.
func (b *Book) lateScope(step incident.Step, outputs map[string]map[string]any) expr.Scope {
	for _, p := range b.procedures {
		types := map[string]any{}
		for _, s := range p.Steps {
			if s.Name == step.Name && s.Uses == step.Uses && covers(types, outputs) {
				return expr.Late(types)
			}
			if s.entry.New != nil {
				types[s.Name] = s.entry.New().Outputs()
			}
		}
	}
	types := map[string]any{}
	for name, values := range outputs {
		if types[name] = b.outputsLike(values); types[name] == nil {
			return expr.LateScope(outputs)
		}
	}
	return expr.Late(types)
}

// outputsLike is the zero value of some action's outputs that these values fit in; nil when there is none.
func (b *Book) outputsLike(values map[string]any) any {
	raw, err := json.Marshal(values)
	if err != nil {
		return nil
	}
	for _, name := range b.registry.ActionNames() {
		entry, _ := b.registry.Action(name)
		zero := entry.New().Outputs()
		if zero == nil {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if d.Decode(reflect.New(reflect.TypeOf(zero)).Interface()) == nil {
			return zero
		}
	}
	return nil
}

func covers(types map[string]any, outputs map[string]map[string]any) bool {
	for name := range outputs {
		if _, ok := types[name]; !ok {
			return false
		}
	}
	return true
}

// isLate says whether a text, or one inside a list or map, still has an expression in it.
func isLate(v any) bool { return firstLate(v) != "" }

func firstLate(v any) string {
	switch v := v.(type) {
	case string:
		if strings.Contains(strings.ReplaceAll(v, "$${", "\x00"), "${") {
			return v
		}
	case []any:
		for _, item := range v {
			if text := firstLate(item); text != "" {
				return text
			}
		}
	case map[string]any:
		for _, item := range v {
			if text := firstLate(item); text != "" {
				return text
			}
		}
	}
	return ""
}

// unquote gives every text as the action is to see it: `$${` is a plain `${`.
func unquote(v any) any {
	switch v := v.(type) {
	case string:
		return unquoteTemplate(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = unquote(item)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = unquote(item)
		}
		return out
	}
	return v
}

func unquoteTemplate(s string) string { return strings.ReplaceAll(s, "$${", "${") }

// yamlQuoted writes any text as a YAML string in double quotes.
func yamlQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
