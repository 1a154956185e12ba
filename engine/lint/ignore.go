package lint

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"astern.dev/astern/rules/expr"
)

// ignored is one comment `# astern:ignore CODE reason`: it silences a warning in its own line, or, alone in its line, in
// the next that is no comment.
type ignored struct {
	line         int // that it is about
	code, reason string
	at           expr.Diagnostic
	used         bool
}

var ignoreComment = regexp.MustCompile(`^#+[ \t]*astern:ignore(?:[ \t]+(\S+))?(?:[ \t]+(.*))?$`)

// Silence leaves out the warnings that comments in the files ignore. An error is never ignored. A comment without a
// reason, and one that ignores nothing, are warnings themselves; looked says whether a code was looked for at all.
func Silence(found expr.Diagnostics, files map[string][]byte, looked func(Code) bool) expr.Diagnostics {
	comments := map[string][]*ignored{}
	for name, text := range files {
		if all := ignoredIn(name, text); len(all) > 0 {
			comments[name] = all
		}
	}
	kept := slices.DeleteFunc(slices.Clone(found), func(d expr.Diagnostic) bool { return d.Warning && silenced(d, comments[d.File]) })
	for _, name := range slices.Sorted(maps.Keys(comments)) {
		for _, c := range comments[name] {
			kept = append(kept, c.problems(found, looked)...)
		}
	}
	return kept.Sorted()
}

func silenced(d expr.Diagnostic, by []*ignored) bool {
	hit := false
	for _, c := range by {
		if c.code == d.Code && c.line == d.Line {
			c.used, hit = true, true
		}
	}
	return hit
}

func (c *ignored) problems(found expr.Diagnostics, looked func(Code) bool) expr.Diagnostics {
	code, known := Find(c.code)
	switch {
	case c.code == "":
		return c.tell("ignore/reason", "nothing is named that is to be ignored", "write # astern:ignore CODE reason")
	case !known:
		return c.tell("ignore/unused", fmt.Sprintf("there is no code %q", c.code), expr.Near(c.code, Names()))
	case code.Severity == Error:
		return c.tell("ignore/unused", c.code+" is an error: it must be mended", "")
	case c.used && c.reason == "":
		return c.tell("ignore/reason", "the reason is missing", "write it behind the code")
	case !c.used && found.Errors() == 0 && looked(code):
		return c.tell("ignore/unused", fmt.Sprintf("there is no %s here to ignore", c.code), "leave the comment out")
	}
	return nil
}

func (c *ignored) tell(code, message, hint string) expr.Diagnostics {
	d := c.at
	d.Code, d.Message, d.Hint, d.Warning = code, message, hint, true
	return expr.Diagnostics{d}
}

// ignoredIn reads a file's comments. Without the word in its text it is not parsed once more.
func ignoredIn(name string, text []byte) []*ignored {
	if !strings.Contains(string(text), "astern:ignore") {
		return nil
	}
	file, _ := expr.ParseFile(name, text)
	comments := file.Comments()
	var all []*ignored
	for i, c := range comments {
		m := ignoreComment.FindStringSubmatch(strings.TrimRight(c.Text, " \t"))
		if m == nil {
			continue
		}
		one := &ignored{line: c.Line, code: m[1], reason: m[2], at: file.At(c.Line, c.Column, "", "")}
		one.at.Width = len([]rune(strings.TrimRight(c.Text, " \t")))
		if c.Alone {
			one.line = below(comments[i:])
		}
		all = append(all, one)
	}
	return all
}

// below is the first line after comments that stand alone, one under the other.
func below(comments []expr.Comment) int {
	line := comments[0].Line + 1
	for _, c := range comments[1:] {
		if c.Line != line || !c.Alone {
			break
		}
		line++
	}
	return line
}
