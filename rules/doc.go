// Package rules reads rule files and says which rules an alert matches, and why not. Rules decide, they never act. It
// imports rules/expr alone: what a procedure or a target is, it does not know.
package rules
