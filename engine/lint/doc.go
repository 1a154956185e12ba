// Package lint says what is valid but unwise, before it hurts. It is pure: it looks at what was loaded, and at the texts
// of Prometheus' rule files and Alertmanager's configuration, which it reads with those programs' own code. It imports
// rules, engine/plan, engine/config and what they stand on.
package lint
