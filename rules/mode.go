package rules

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"astern.dev/astern/rules/expr"
)

// ErrByHand says that a rule's mode is written in a way that cannot be changed alone.
var ErrByHand = errors.New("the mode is written in a way that cannot be changed alone")

// WithMode is a rule's file with another mode in it and everything else as it stands, proven by reading it again. files
// are those that the set was read from. The error is ErrByHand, or expr.Diagnostics when the rule cannot be in that mode.
func (s *Set) WithMode(files map[string][]byte, r *Rule, mode string) ([]byte, error) {
	after, ok := withMode(files[r.File], r, mode)
	if !ok {
		return nil, ErrByHand
	}
	env, err := expr.NewEnv()
	if err != nil {
		return nil, err
	}
	files = maps.Clone(files)
	files[r.File] = after
	set, found := Load(env, files)
	if err := found.Err(); err != nil {
		return nil, err
	}
	same := slices.EqualFunc(s.rules, set.rules, func(old, now *Rule) bool {
		return old.Name == now.Name && (old.Digest == now.Digest) == (old.Name != r.Name)
	})
	if changed, there := set.Rule(r.Name); !same || !there || changed.Mode != mode {
		return nil, ErrByHand
	}
	return after, nil
}

// withMode puts a mode in the place of the one that is written, or beside the rule's name when none is.
func withMode(text []byte, rule *Rule, mode string) ([]byte, bool) {
	written := rule.Node().Get("mode")
	if !written.Exists() {
		return modeBeside(text, rule.Node().Get("rule").Diagnostic("", "", ""), rule.Name, mode)
	}
	at := written.Diagnostic("", "", "")
	from, ok := offset(text, at.Line, at.Column)
	if !ok {
		return nil, false
	}
	if text[from] == '"' || text[from] == '\'' {
		from++
	}
	rest, is := bytes.CutPrefix(text[from:], []byte(rule.Mode))
	return slices.Concat(text[:from], []byte(mode), rest), is
}

// modeBeside writes the key as its neighbour is written: between braces, or on a line of its own.
func modeBeside(text []byte, name expr.Diagnostic, rule string, mode string) ([]byte, bool) {
	at, ok := offset(text, name.Line, name.Column)
	if !ok || !bytes.Contains(text[at:], []byte(rule)) {
		return nil, false
	}
	begin := bytes.LastIndexByte(text[:at], '\n') + 1
	if before := text[begin:at]; !bytes.Contains(before, []byte("{")) {
		line, _, _ := bytes.Cut(text[begin:], []byte("\n"))
		ending := "\n"
		if bytes.HasSuffix(line, []byte("\r")) {
			ending = "\r\n"
		}
		key := strings.Repeat(" ", max(bytes.LastIndex(before, []byte("rule")), 0)) + "mode: " + mode
		end := begin + len(bytes.TrimSuffix(line, []byte("\r")))
		return slices.Concat(text[:end], []byte(ending+key), text[end:]), true
	}
	end := at + bytes.Index(text[at:], []byte(rule)) + len(rule)
	if end < len(text) && (text[end] == '"' || text[end] == '\'') {
		end++
	}
	return slices.Concat(text[:end], []byte(", mode: "+mode), text[end:]), true
}

// offset is where a line and column, both from 1, are in a text; columns count characters.
func offset(text []byte, line, column int) (int, bool) {
	at := 0
	for range line - 1 {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			return 0, false
		}
		at += n + 1
	}
	for i := range string(text[at:]) {
		if column--; column == 0 {
			return at + i, true
		}
	}
	return 0, false
}
