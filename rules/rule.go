package rules

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"astern.dev/astern/rules/expr"
)

// Rule is one rule as its file says it. It is immutable and safe for concurrent use.
type Rule struct {
	// Name is unique over all files.
	Name, Group, File string
	Line              int
	// Mode is observe, suggest, approve or auto; observe when nothing is written.
	Mode string
	// For is when to ask, counted from the alert's startsAt.
	For     time.Duration
	Confirm Confirm
	// Do is "rollback" (the target's own procedure) or a procedure's name.
	Do string
	// When and Target are the CEL as written; Target is "" when the alert's labels choose.
	When, Target string
	// Labels and Annotations are as written; Summary and Severity render them.
	Labels, Annotations map[string]string
	// Guards is what the rule writes, as YAML gives it; what a guard may say is the engine's to know.
	Guards map[string]any
	// Digest names the rule's content, with the variables it uses: another content gives another digest.
	Digest string

	node, do            *expr.Node
	when, target        *expr.Program
	labels, annotations map[string]*expr.Template
	variables           []expr.Variable // its group's
}

// Confirm is what is asked live, right before acting (S7).
type Confirm struct {
	// Waived is the reason why no metric can say it.
	Waived  string
	Queries []Query
}

// Query is one PromQL query and what each sample of its answer must meet.
type Query struct {
	// Query and Condition are as written.
	Query, Condition string

	query *expr.Template
	holds *expr.Program
}

// ErrNaN says that a sample is no number: neither bad nor well, but unknown.
var ErrNaN = errors.New("the sample is NaN: unknown")

// Render gives the PromQL; values stand inside quotes and cannot leave them.
func (q Query) Render(v expr.Vars) (string, error) {
	text, err := q.query.PromQL(v)
	if err != nil {
		return "", fmt.Errorf("render query %s: %w", q.Query, err)
	}
	return text, nil
}

// Holds says whether one sample meets the condition. NaN is ErrNaN, whatever the condition.
func (q Query) Holds(value float64, v expr.Vars) (bool, error) {
	if math.IsNaN(value) {
		return false, ErrNaN
	}
	return q.holds.Holds(expr.BindValue(v, value))
}

// TargetName is the name that `target:` gives; "" when the rule writes none and the alert's labels choose.
func (r *Rule) TargetName(v expr.Vars) (string, error) {
	if r.target == nil {
		return "", nil
	}
	value, err := r.target.Eval(v)
	if err != nil {
		return "", err
	}
	name, ok := value.(string)
	if !ok || name == "" {
		return "", fmt.Errorf("target: %s gave no name", r.Target)
	}
	return name, nil
}

// Summary is annotations.summary as text, "" if none. What cannot be rendered stays as it is written.
func (r *Rule) Summary(v expr.Vars) string { return rendered(r.annotations["summary"], v) }

// Severity is labels.severity, else the alert's own.
func (r *Rule) Severity(v expr.Vars) string {
	if t, ok := r.labels["severity"]; ok {
		return rendered(t, v)
	}
	return expr.EscapeText(v.Alert.Labels["severity"])
}

// RenderedLabels and RenderedAnnotations are all of them as text.
func (r *Rule) RenderedLabels(v expr.Vars) map[string]string { return renderedAll(r.labels, v) }

// RenderedAnnotations is all annotations as text.
func (r *Rule) RenderedAnnotations(v expr.Vars) map[string]string {
	return renderedAll(r.annotations, v)
}

// Node and DoNode are where the rule and its `do` are written: mistakes found later point there.
func (r *Rule) Node() *expr.Node { return r.node }

// DoNode is where `do` is written.
func (r *Rule) DoNode() *expr.Node { return r.do }

// TargetNode is where `target` is written; absent when it is not.
func (r *Rule) TargetNode() *expr.Node { return r.node.Get("target") }

// TargetConstant gives the target's name when `target:` is one fixed name.
func (r *Rule) TargetConstant() (string, bool) {
	if r.target == nil || len(r.target.Roots()) > 0 {
		return "", false
	}
	name, err := r.TargetName(expr.Vars{})
	return name, err == nil
}

// uses are the group's variables that any of the rule's expressions put in.
func (r *Rule) uses() []string {
	var all []string
	for _, p := range []*expr.Program{r.when, r.target} {
		if p != nil {
			all = append(all, p.Uses()...)
		}
	}
	for _, t := range r.templates() {
		all = append(all, t.Uses()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (r *Rule) templates() []*expr.Template {
	all := append(slices.Collect(maps.Values(r.labels)), slices.Collect(maps.Values(r.annotations))...)
	for _, q := range r.Confirm.Queries {
		if q.query != nil {
			all = append(all, q.query)
		}
	}
	return all
}

func rendered(t *expr.Template, v expr.Vars) string {
	if t == nil {
		return ""
	}
	text, err := t.Text(v)
	if err != nil {
		return t.Source()
	}
	return text
}

func renderedAll(templates map[string]*expr.Template, v expr.Vars) map[string]string {
	all := make(map[string]string, len(templates))
	for name, t := range templates {
		all[name] = rendered(t, v)
	}
	return all
}
