package plan

import (
	"cmp"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/rules/expr"
)

// A step is looked at offline with what is known of its target alone. What depends on an alert or a release is guessed,
// and nothing that is said about a guess counts.

// mistake is what is wrong with one parameter.
type mistake struct {
	at      *param
	message string
}

// offline renders the step for a target and gives every mistake.
func (s *Step) offline(t *Target) []mistake {
	o := &offline{view: view{vars: expr.Vars{Target: t.ExprTarget()}, offline: true}}
	value := o.value(s.with)
	if len(o.mistakes) > 0 {
		return o.mistakes
	}
	action := s.entry.New()
	if err := fill(reflect.ValueOf(action).Elem(), unquote(value), ""); err != nil {
		return []mistake{o.placed(s.with, err)}
	}
	for _, err := range lines(action.Validate()) {
		if m := o.placed(s.with, err); !o.aboutGuess(s.with, err) {
			o.mistakes = append(o.mistakes, m)
		}
	}
	return o.mistakes
}

type offline struct {
	view     view
	mistakes []mistake
	guessed  []string // paths
	// word is what stands for an unknown text; "unknown" when it is empty.
	word string
	// lenient takes what cannot be rendered for unknown.
	lenient bool
}

// value is the parameter with guesses for what is unknown.
func (o *offline) value(p *param) any {
	switch {
	case p.isMap:
		out := map[string]any{}
		for i, key := range p.keys {
			out[key] = o.value(p.items[i])
		}
		return out
	case p.list:
		out := make([]any, len(p.items))
		for i, item := range p.items {
			out[i] = o.value(item)
		}
		return out
	}
	v, err := p.render(o.view)
	if err != nil && !o.lenient {
		o.mistakes = append(o.mistakes, mistake{p, err.Error()})
		return nil
	}
	if _, is := v.(unknown); is || err != nil {
		o.guessed = append(o.guessed, p.path)
		return guess(p.typ, cmp.Or(o.word, "unknown"))
	}
	if err := fill(reflect.New(p.typ).Elem(), unquote(v), p.path); err != nil {
		o.mistakes = append(o.mistakes, mistake{p, err.Error()})
	}
	return v
}

// guess is some value that the type takes.
func guess(t reflect.Type, word string) any {
	switch {
	case t == reflect.TypeFor[actions.Duration]():
		return "1s"
	case t == urlType:
		return "http://unknown.invalid/"
	case isDict(t):
		return map[string]any{}
	case isList(t):
		return []any{}
	case ReadsText(t):
		return ""
	}
	switch t.Kind() {
	case reflect.Bool:
		return false
	case reflect.String, reflect.Interface:
		return word
	}
	return int64(1)
}

// lines are the mistakes that an action joined into one error.
func lines(err error) []error {
	if err == nil {
		return nil
	}
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line != "" {
			all = append(all, errors.New(line))
		}
	}
	return all
}

var leadingPath = regexp.MustCompile(`^[a-z][a-z0-9_]*(\[\d+\])*(\.[a-z][a-z0-9_]*(\[\d+\])*)*`)

// subject is the parameter that an action's mistake begins with, as actions write them: "weights[0].server: …".
func subject(with *param, err error) string {
	var typed *ParamError
	if errors.As(err, &typed) {
		return typed.Path
	}
	path := leadingPath.FindString(err.Error())
	first, _, _ := strings.Cut(path, ".")
	first, _, _ = strings.Cut(first, "[")
	if with.typ.Kind() == reflect.Struct && slices.Contains(fieldsOf(with.typ).names, first) {
		return path
	}
	return ""
}

func (o *offline) placed(with *param, err error) mistake {
	at := with.at(subject(with, err))
	if !at.node.Exists() {
		return mistake{with, err.Error()}
	}
	return mistake{at, err.Error()}
}

// aboutGuess says whether a mistake is about something guessed, or may be.
func (o *offline) aboutGuess(with *param, err error) bool {
	path := subject(with, err)
	if path == "" {
		return len(o.guessed) > 0
	}
	return slices.ContainsFunc(o.guessed, func(guessed string) bool {
		return strings.HasPrefix(guessed, path) || strings.HasPrefix(path, guessed)
	})
}
