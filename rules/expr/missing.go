package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// Missing is the error of an expression that read something absent, such as a label the alert does not have.
type Missing struct {
	// Path is what was read, as CEL writes it: `alert.labels.zone`.
	Path string
}

// Error says it as a person would: "label zone is missing".
func (m *Missing) Error() string {
	for path, word := range map[string]string{"alert.labels": "label", "alert.annotations": "annotation", "group.labels": "group label"} {
		if key, ok := strings.CutPrefix(m.Path, path+"."); ok {
			return word + " " + visible(key) + " is missing"
		}
		if key, ok := strings.CutPrefix(m.Path, path+"["); ok {
			return word + " " + visible(strings.Trim(key, `"]`)) + " is missing"
		}
	}
	return visible(m.Path) + " is missing"
}

// explain makes an evaluation's error one that says what was missing, or at least which expression failed.
func (p *Program) explain(err error) error {
	key, ok := strings.CutPrefix(message(err), "no such key: ")
	if !ok {
		return fmt.Errorf("evaluate %s: %w", p.source, err)
	}
	id := int64(0)
	var at *types.Err
	if errors.As(err, &at) {
		id = at.NodeID()
	}
	return &Missing{pathIn(p.Expr(), id, key)}
}

func message(err error) string {
	var m *missingKey
	if errors.As(err, &m) {
		return m.Error()
	}
	return err.Error()
}

// pathIn finds what was read: under the failing node if it can, else anywhere in the expression.
func pathIn(whole ast.Expr, id int64, key string) string {
	failing := whole
	visit(whole, func(x ast.Expr) {
		if x.ID() == id {
			failing = x
		}
	})
	for _, x := range []ast.Expr{failing, whole} {
		if path := readOf(x, key); path != "" {
			return path
		}
	}
	return key
}

// readOf finds the first place in an expression that may have read the key. A key written out wins over a computed one.
func readOf(x ast.Expr, key string) string {
	written, computed := "", ""
	visit(x, func(x ast.Expr) {
		switch {
		case x.Kind() == ast.SelectKind && x.AsSelect().FieldName() == key && written == "":
			written = pathText(x, key)
		case isIndex(x) && literal(x.AsCall().Args()[1]) == key && written == "":
			written = pathText(x, key)
		case isIndex(x) && x.AsCall().Args()[1].Kind() != ast.LiteralKind && computed == "":
			computed = pathText(x, key)
		}
	})
	if written != "" {
		return written
	}
	return computed
}

func isIndex(x ast.Expr) bool {
	return x.Kind() == ast.CallKind && x.AsCall().FunctionName() == operators.Index
}

func literal(x ast.Expr) string {
	if x.Kind() != ast.LiteralKind {
		return ""
	}
	s, _ := x.AsLiteral().Value().(string)
	return s
}

// pathText writes a chain of reads; key stands for a computed index.
func pathText(x ast.Expr, key string) string {
	switch {
	case x.Kind() == ast.IdentKind:
		return x.AsIdent()
	case x.Kind() == ast.SelectKind:
		return pathText(x.AsSelect().Operand(), key) + "." + x.AsSelect().FieldName()
	case isIndex(x):
		if written := literal(x.AsCall().Args()[1]); written != "" {
			key = written
		}
		return fmt.Sprintf("%s[%q]", pathText(x.AsCall().Args()[0], "…"), key)
	}
	return "…"
}
