package expr

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Origin says which words of an alert a Field reads.
type Origin uint8

// The parts that hold plain strings.
const (
	Labels Origin = iota + 1
	Annotations
	GroupLabels
	Status
	Source
)

// Field is one string that an alert may have: `alert.labels.x`, `group.labels.x`, `alert.source`.
type Field struct {
	Of Origin
	// Key is the label's or annotation's name; empty for status and source.
	Key string
}

// Read gives the field's value, and whether the alert has it.
func (f Field) Read(v *Vars) (value string, there bool) {
	if f.Of == GroupLabels {
		value, there = v.Group.Labels[f.Key]
		return value, there
	}
	return f.ofAlert(&v.Alert)
}

func (f Field) ofAlert(a *Alert) (value string, there bool) {
	switch f.Of {
	case Labels:
		value, there = a.Labels[f.Key]
	case Annotations:
		value, there = a.Annotations[f.Key]
	case Status:
		return a.Status, true
	case Source:
		return a.Source, true
	}
	return value, there
}

// FieldOf says which field an expression reads; ok is false when it is no plain read of one.
func FieldOf(x ast.Expr) (f Field, ok bool) {
	of, name, ok := member(x)
	if !ok {
		return Field{}, false
	}
	if of.Kind() == ast.IdentKind && of.AsIdent() == "alert" {
		part, ok := map[string]Origin{"status": Status, "source": Source}[name]
		return Field{Of: part}, ok
	}
	root, plural, ok := member(of)
	if !ok || root.Kind() != ast.IdentKind {
		return Field{}, false
	}
	part, ok := map[string]Origin{"alert.labels": Labels, "alert.annotations": Annotations, "group.labels": GroupLabels}[root.AsIdent()+"."+plural]
	return Field{Of: part, Key: name}, ok
}

// member takes `x.name` and `x["name"]` apart. The question has(x.name) is no read.
func member(x ast.Expr) (of ast.Expr, name string, ok bool) {
	switch {
	case x.Kind() == ast.SelectKind && !x.AsSelect().IsTestOnly():
		return x.AsSelect().Operand(), x.AsSelect().FieldName(), true
	case isIndex(x):
		name, ok := word(x.AsCall().Args()[1])
		return x.AsCall().Args()[0], name, ok
	}
	return nil, "", false
}

// word is a string written out.
func word(x ast.Expr) (string, bool) {
	if x.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := x.AsLiteral().Value().(string)
	return s, ok
}

// wordList is a list of strings, each written out.
func wordList(x ast.Expr) ([]string, bool) {
	if x.Kind() != ast.ListKind || len(x.AsList().OptionalIndices()) > 0 {
		return nil, false
	}
	var all []string
	for _, item := range x.AsList().Elements() {
		s, ok := word(item)
		if !ok {
			return nil, false
		}
		all = append(all, s)
	}
	return all, true
}

// EqualTo reads `field == "word"`, either way round, and `field in ["word", …]`: it is true of these values alone.
func EqualTo(x ast.Expr) (f Field, values []string, ok bool) {
	if x.Kind() != ast.CallKind {
		return Field{}, nil, false
	}
	switch call := x.AsCall(); call.FunctionName() {
	case operators.Equals:
		var value string
		f, value, ok = beside(call.Args()[0], call.Args()[1])
		return f, []string{value}, ok
	case operators.In:
		if f, ok = FieldOf(call.Args()[0]); ok {
			values, ok = wordList(call.Args()[1])
		}
		return f, values, ok
	}
	return Field{}, nil, false
}

// beside finds a field and a word, whichever stands first.
func beside(a, b ast.Expr) (f Field, value string, ok bool) {
	if value, ok = word(b); !ok {
		if value, ok = word(a); !ok {
			return Field{}, "", false
		}
		a = b
	}
	f, ok = FieldOf(a)
	return f, value, ok
}
