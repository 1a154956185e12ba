package rules

import "astern.dev/astern/rules/expr"

// Condition is `when`, compiled; nil when it has a mistake.
func (r *Rule) Condition() *expr.Program { return r.when }

// TargetProgram is `target`, compiled; nil when none is written, or when it has a mistake.
func (r *Rule) TargetProgram() *expr.Program { return r.target }

// Template is the query, compiled; nil when it has a mistake.
func (q Query) Template() *expr.Template { return q.query }

// Claim is `holds`, compiled; nil when it has a mistake.
func (q Query) Claim() *expr.Program { return q.holds }
