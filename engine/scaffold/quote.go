package scaffold

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/prometheus/common/model"
)

// What others wrote goes into YAML, CEL and comments: each has a function that lets nothing out of its place.

var (
	plainInFlow  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._/-]*$`)
	plainInBlock = regexp.MustCompile(`^[A-Za-z_][!-~ ]*[!-9;-~]$`)
	// words that YAML takes for something else than a text.
	reserved = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
)

// inFlow is a text as YAML between braces or brackets.
func inFlow(s string) string {
	if plainInFlow.MatchString(s) && !slices.Contains(reserved, strings.ToLower(s)) {
		return s
	}
	return quoted(s)
}

// inBlock is a text as YAML that ends with the line.
func inBlock(s string) string {
	if plainInFlow.MatchString(s) {
		return inFlow(s)
	}
	if plainInBlock.MatchString(s) && !strings.Contains(s, ": ") && !strings.Contains(s, " #") {
		return s
	}
	return quoted(s)
}

// quoted is a text as YAML in quotes: single ones where all of it can be seen, else double ones with escapes, which are
// Go's own.
func quoted(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && strings.Contains(s, `"`) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	if strings.IndexFunc(s, hidden) < 0 {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return strconv.QuoteToASCII(s)
}

func hidden(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// celString is a text as a CEL string.
func celString(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return strconv.Quote(s)
	}
	return strconv.QuoteToASCII(s)
}

// inTemplate is a text that stays as it is where ${…} is read.
func inTemplate(s string) string { return strings.ReplaceAll(s, "${", "$${") }

const longComment = 300

// inComment is a text in one line, with what cannot be seen made visible.
func inComment(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if strings.IndexFunc(s, hidden) >= 0 {
		s = strconv.QuoteToASCII(s)
		s = s[1 : len(s)-1]
	}
	if runes := []rune(s); len(runes) > longComment {
		s = string(runes[:longComment]) + "…"
	}
	return s
}

// quotedLabels are label names as PromQL takes them in a grouping.
func quotedLabels(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = quotedLabel(name)
	}
	return all
}

func quotedLabel(name string) string {
	if model.LegacyValidation.IsValidLabelName(name) {
		return name
	}
	return strconv.Quote(name)
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// asName makes a name of a text: for targets and environments.
func asName(s string) string {
	s = strings.TrimLeft(notInName.ReplaceAllString(s, "-"), "._-")
	s = strings.TrimRight(s[:min(len(s), 100)], "-")
	if s == "" {
		return "unnamed"
	}
	return s
}

var notInRule = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// asRuleName makes the name of a rule of an alert's.
func asRuleName(s string) string {
	s = notInRule.ReplaceAllString(s, "_")
	if s == "" || !strings.ContainsRune(letters, rune(s[0])) {
		s = "Alert_" + s
	}
	return s[:min(len(s), 90)]
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var notInVar = regexp.MustCompile(`[^a-z0-9_]+`)

// asVar makes the name of a var of a label's.
func asVar(s string) string {
	s = strings.TrimLeft(notInVar.ReplaceAllString(strings.ToLower(s), "_"), "_0123456789")
	if s == "" {
		return "label"
	}
	return s
}

// unique gives a name that is not taken yet.
func unique(name string, taken map[string]bool) string {
	fresh := name
	for n := 2; taken[fresh]; n++ {
		fresh = name + "-" + strconv.Itoa(n)
	}
	taken[fresh] = true
	return fresh
}
