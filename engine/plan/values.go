package plan

import (
	"fmt"
	"reflect"
	"strings"

	"astern.dev/astern/rules/expr"
)

// view is what is known when parameters are rendered.
type view struct {
	vars expr.Vars
	// offline knows the target alone: the rest is unknown, and what depends on it is left out.
	offline bool
	// final knows the outputs of earlier steps, too.
	final bool
}

// unknown stands where a value cannot be known offline.
type unknown struct{}

// located is an error at one parameter.
type located struct {
	at *param
	error
}

func (l *located) Unwrap() error { return l.error }

func (p *param) fails(err error) error {
	return &located{p, fmt.Errorf("parameter %s: %w", p.path, err)}
}

// render gives the parameter's plain value: texts escaped for their places, outputs of earlier steps left as
// `${steps.…}`. A text that holds `${` by itself has it as `$${`, so that it is never read as an expression later.
func (p *param) render(v view) (any, error) {
	switch {
	case p.isMap:
		return p.renderMap(v)
	case p.list:
		return p.renderList(v)
	case p.text != nil:
		return p.renderText(v)
	}
	return p.value, nil
}

func (p *param) renderMap(v view) (any, error) {
	out := make(map[string]any, len(p.keys))
	for i, key := range p.keys {
		value, err := p.items[i].render(v)
		if err != nil {
			return nil, err
		}
		out[key] = value
	}
	return out, nil
}

func (p *param) renderList(v view) (any, error) {
	out := make([]any, len(p.items))
	for i, item := range p.items {
		value, err := item.render(v)
		if err != nil {
			return nil, err
		}
		out[i] = value
	}
	return out, nil
}

func (p *param) renderText(v view) (any, error) {
	if v.offline {
		_, depends, err := p.text.RenderPartial(v.vars, nil)
		if err != nil {
			return nil, p.fails(err)
		}
		if depends {
			return unknown{}, nil
		}
	}
	if p.text.Whole() && (v.final || !p.text.Late()) {
		return p.renderWhole(v)
	}
	parts, late, err := p.parts(v)
	if err != nil {
		return nil, p.fails(err)
	}
	text, err := weave(placeOf(p.typ), parts, late)
	if err != nil {
		return nil, p.fails(err)
	}
	return text, nil
}

func (p *param) parts(v view) ([]expr.Part, []bool, error) {
	if !v.final {
		return p.text.EarlyParts(v.vars)
	}
	parts, err := p.text.Parts(v.vars)
	return parts, make([]bool, len(parts)), err
}

// renderWhole keeps the type of what `${…}` gives; every text in it is escaped for the place it comes to.
func (p *param) renderWhole(v view) (any, error) {
	value, err := p.text.Render(v.vars, nil)
	if err != nil {
		return nil, p.fails(err)
	}
	if value, err = plain(value); err != nil {
		return nil, p.fails(err)
	}
	if value, err = placed(value, p.typ, p.text.Trusted()); err != nil {
		return nil, p.fails(err)
	}
	return value, nil
}

// placed escapes each text of a value for the place that the type says.
func placed(v any, t reflect.Type, trusted bool) (any, error) {
	switch v := v.(type) {
	case string:
		return weave(placeOf(t), []expr.Part{{Text: v, Value: true, Trusted: trusted}}, []bool{false})
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			inner := t
			if isList(t) {
				inner = indirect(t.Elem())
			}
			var err error
			if out[i], err = placed(item, inner, trusted); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			inner, ok := child(t, key)
			if !ok {
				inner = t // fill tells that there is no such parameter
			}
			var err error
			if out[key], err = placed(item, inner, trusted); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// weave joins parts into one text: values escaped, a `${` that is no expression written `$${`, and what is late as it
// was written.
func weave(where place, parts []expr.Part, late []bool) (string, error) {
	token, held := standIns(parts, late)
	text, err := escape(where, held)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	rest := text
	for i, part := range parts {
		if !late[i] {
			continue
		}
		before, after, ok := strings.Cut(rest, token)
		if !ok {
			return "", fmt.Errorf("the place of %s was lost", part.Text)
		}
		b.WriteString(quoteTemplate(before))
		b.WriteString(part.Text)
		rest = after
	}
	b.WriteString(quoteTemplate(rest))
	return b.String(), nil
}

func quoteTemplate(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// standIns puts a word in the place of each late part that no other part holds, alone or with its neighbours, and that
// no escaping changes: so the place is escaped and checked as it will be when the value is there.
func standIns(parts []expr.Part, late []bool) (string, []expr.Part) {
	for n := 0; ; n++ {
		token := fmt.Sprintf("late%dlate", n)
		held, wanted := make([]expr.Part, len(parts)), 0
		var whole strings.Builder
		for i, p := range parts {
			if held[i] = p; late[i] {
				held[i].Text = token
				wanted++
			}
			whole.WriteString(held[i].Text)
		}
		if strings.Count(whole.String(), token) == wanted {
			return token, held
		}
	}
}
