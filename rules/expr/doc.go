// Package expr reads the YAML files that users write and compiles the CEL found in them, with file:line:col and a caret
// for every mistake. It is the one environment for rules, plans and messages. It imports nothing of astern.
package expr
