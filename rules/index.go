package rules

import (
	"slices"

	"github.com/google/cel-go/common/ast"

	"astern.dev/astern/rules/expr"
)

// index finds the rules that may match an alert without looking at the others. Each rule is filed under conditions of
// which one must hold or the rule is not true (see necessary); a rule without such conditions is looked at for every alert.
type index struct {
	always []int // places in Set.rules, as those below, in order
	fields []column
	labels map[string]int // the columns of alert.labels by the label's name
	others []int          // the columns of all other fields
}

// column files rules by the values of one field.
type column struct {
	field  expr.Field
	values map[string][]int
}

func newIndex(rules []*Rule) *index { return fileRules(rules, countAtoms(rules).necessary) }

// fileRules files each rule under its necessary atoms. One without a condition (of a draft with mistakes) is never found.
func fileRules(rules []*Rule, necessary func(ast.Expr) ([]atom, bool)) *index {
	x := &index{labels: map[string]int{}}
	columns := map[expr.Field]int{}
	for n, r := range rules {
		if r.when == nil {
			continue
		}
		atoms, ok := necessary(r.when.Expr())
		if !ok {
			x.always = append(x.always, n)
			continue
		}
		for _, a := range atoms {
			x.file(columns, a, n)
		}
	}
	return x
}

func (x *index) file(columns map[expr.Field]int, a atom, rule int) {
	at, ok := columns[a.field]
	if !ok {
		at = len(x.fields)
		columns[a.field] = at
		x.fields = append(x.fields, column{a.field, map[string][]int{}})
		if a.field.Of == expr.Labels {
			x.labels[a.field.Key] = at
		} else {
			x.others = append(x.others, at)
		}
	}
	values := x.fields[at].values
	if list := values[a.value]; len(list) == 0 || list[len(list)-1] != rule { // a word may stand twice
		values[a.value] = append(list, rule)
	}
}

// candidates appends the places of the rules that may match, in order and each once.
func (x *index) candidates(found []int, v *expr.Vars) []int {
	before := len(found)
	found = append(found, x.always...)
	lists := min(len(x.always), 1)
	add := func(list []int) {
		if len(list) > 0 {
			found = append(found, list...)
			lists++
		}
	}
	if len(x.labels) <= len(v.Alert.Labels) {
		for _, c := range x.fields {
			if value, there := c.field.Read(v); there {
				add(c.values[value])
			}
		}
	} else { // more labels are asked for than the alert has
		for name, value := range v.Alert.Labels {
			if at, ok := x.labels[name]; ok {
				add(x.fields[at].values[value])
			}
		}
		for _, at := range x.others {
			if value, there := x.fields[at].field.Read(v); there {
				add(x.fields[at].values[value])
			}
		}
	}
	if lists > 1 {
		slices.Sort(found[before:])
		found = slices.Compact(found)
	}
	return found
}
