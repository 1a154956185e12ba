package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/config"
	"astern.dev/astern/rules/expr"
)

// slip is a mistake in CEL; the marks stand where the caret must.
type slip struct{ name, cel, code, hint string }

// slips are conditions over an alert, each with one mistake. Where it has && a line may end.
var slips = []slip{
	{"name", `⟪alrt⟫.labels.alertname == "A" && true`, "cel/undeclared", `did you mean "alert"?`},
	{"name behind others", `alert.labels.alertname == "A" && ⟪alrt⟫.labels.team == "x"`, "cel/undeclared", `did you mean "alert"?`},
	{"variable", `alert.labels.alertname == "A" && ⟪productionn⟫`, "cel/undeclared", `did you mean "production"?`},
	{"field", `alert.labels.alertname == "A" && alert.⟪statsu⟫ == "firing"`, "cel/field", `did you mean "status"?`},
	{"known elsewhere", `alert.labels.alertname == "A" && ⟪release⟫.current.version == "v1"`, "cel/undeclared", "*"},
	{"function", `alert.labels.alertname == "A" && ⟪siez⟫(alert.labels) > 1`, "cel/undeclared", `did you mean "size"?`},
	{"method", `alert.labels.alertname == "A" && alert.labels.team.⟪startWith⟫("x")`, "cel/undeclared", `did you mean "startsWith"?`},
	{"types", `alert.labels.alertname == "A" && alert.labels.count ⟪>⟫ 3`, "cel/types", ""},
	{"equal types", `alert.labels.alertname == "A" && alert.labels.count ⟪==⟫ 3`, "cel/types", ""},
	{"no truth value", `⟪alert.labels.alertname + "A" + alert.status⟫`, "cel/type", ""},
	{"one equals sign", `alert.labels.team != "x" && alert.labels.alertname ⟪=⟫ "A"`, "cel/syntax", ""},
	{"parenthesis too many", `(alert.labels.alertname == "A" && production)⟪)⟫`, "cel/syntax", ""},
	{"parenthesis missing", `(alert.labels.alertname == "A" && production⟪`, "cel/syntax", ""},
	{"two operators", `alert.labels.alertname == "A" && ⟪&⟫& production`, "cel/syntax", ""},
	{"pattern", `alert.labels.alertname == "A" && alert.labels.pod.matches(⟪"a["⟫)`, "cel/regexp", ""},
	{"shadow", `alert.labels.alertname == "A" && ["a"].exists(⟪alert⟫, alert == "a")`, "cel/shadow", ""},
	{"wide text before", `alert.labels.alertname == "Größe 東京 🚀" && ⟪alrt⟫.status == "firing"`, "cel/undeclared", `did you mean "alert"?`},
	{"long line", `alert.labels.alertname == "` + strings.Repeat("x", 3000) + `" && ⟪alrt⟫.status == "firing"`, "cel/undeclared", `did you mean "alert"?`},
}

// yamlShape is one way to write a text in YAML.
type yamlShape struct {
	name  string
	write func(key, text, indent string) string
}

// endingLines ends lines where CEL is joined: by holds the line end and the operator.
func endingLines(text, by string) string { return strings.ReplaceAll(text, " && ", by) }

var doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
var escapedToo = strings.NewReplacer(`\`, `\\`, `"`, `\x22`, "ö", `\u00f6`, "🚀", `\U0001F680`)

func single(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

var yamlShapes = []yamlShape{
	{"plain", func(k, s, in string) string { return k + ": " + s }},
	{"single quotes", func(k, s, in string) string { return k + ": " + single(s) }},
	{"single quotes doubled", func(k, s, in string) string { return k + ": " + single(strings.ReplaceAll(s, `"A"`, `'A'`)) }},
	{"double quotes", func(k, s, in string) string { return k + `: "` + doubleQuoted.Replace(s) + `"` }},
	{"double quotes with escapes", func(k, s, in string) string { return k + `: "` + escapedToo.Replace(s) + `"` }},
	{"literal", func(k, s, in string) string { return k + ": |\n" + in + "  " + endingLines(s, "\n"+in+"  && ") }},
	{"literal stripped, third line", func(k, s, in string) string {
		return k + ": |-\n" + in + "  true &&\n" + in + "  true &&\n" + in + "  " + s
	}},
	{"literal indented", func(k, s, in string) string {
		return k + ": |2\n" + in + "    true\n" + in + "      && " + endingLines(s, "\n"+in+"      && ")
	}},
	{"literal with an empty line and a comment", func(k, s, in string) string {
		return k + ": | # das Größte\n\n" + in + "  true\n\n" + in + "  // ä\n" + in + "  && " + s
	}},
	{"folded", func(k, s, in string) string { return k + ": >\n" + in + "  " + endingLines(s, "\n"+in+"  && ") }},
	{"folded stripped, third line", func(k, s, in string) string {
		return k + ": >-\n" + in + "  true &&\n" + in + "  true &&\n" + in + "  " + s
	}},
	{"folded, lines indented further", func(k, s, in string) string {
		return k + ": >-\n" + in + "  true\n" + in + "    && " + endingLines(s, "\n"+in+"    && ")
	}},
	{"plain over lines", func(k, s, in string) string { return k + ": " + endingLines(s, "\n"+in+"  && ") }},
	{"single quotes over lines", func(k, s, in string) string {
		return k + ": '" + endingLines(strings.ReplaceAll(s, "'", "''"), "\n"+in+"  && ") + "'"
	}},
	{"double quotes over lines", func(k, s, in string) string {
		return k + `: "` + endingLines(doubleQuoted.Replace(s), "\n"+in+"  && ") + `"`
	}},
	{"double quotes, ends escaped", func(k, s, in string) string {
		return k + `: "` + endingLines(doubleQuoted.Replace(s), " \\\n"+in+"  && ") + `"`
	}},
	{"quoted key", func(k, s, in string) string { return `"` + k + `": ` + single(s) }},
	{"under its key", func(k, s, in string) string { return k + ":\n" + in + "    " + single(s) }},
	{"tabs in a comment", func(k, s, in string) string {
		return k + ": # \tTab\tTab 東京\n" + in + "    " + single(s) + "\t# ö"
	}},
}

// ruleFile is a rule whose `when` is written in one shape.
func ruleFile(when string) string {
	return "# Regeln für die Größe 東京\ngroups:\n  - name: g\n    variables:\n      - {name: production, value: 'alert.labels.environment == \"production\"'}\n" +
		"    rules:\n      - rule: R\n        " + when + "\n        do: rollback # über\n"
}

// TestCorpusCEL: each mistake in each way to write it, with both kinds of line ends.
func TestCorpusCEL(t *testing.T) {
	var all []mutant
	for _, s := range slips {
		for _, sh := range yamlShapes {
			if s.code == "cel/type" && strings.Contains(sh.write("", "", ""), "true") {
				continue // behind `true &&` it is another mistake
			}
			text := ruleFile(sh.write("when", s.cel, "        "))
			all = append(all, mutant{name: s.name + "/" + sh.name, files: map[string]string{"rules.yaml": text}, code: s.code, hint: s.hint})
		}
		flow := strings.Replace(ruleFile("when: x"), "rule: R\n        when: x\n        do: rollback", "{annotations: {über: 'ä 東京'}, rule: R, when: "+single(s.cel)+", do: rollback}", 1)
		all = append(all, mutant{name: s.name + "/flow map", files: map[string]string{"rules.yaml": flow}, code: s.code, hint: s.hint},
			mutant{name: s.name + "/byte order mark", files: map[string]string{"rules.yaml": "\uFEFF" + ruleFile("when: "+single(s.cel))}, code: s.code, hint: s.hint})
	}
	for _, m := range all {
		m.name, m.files = m.name+"/CRLF", map[string]string{"rules.yaml": strings.ReplaceAll(m.files["rules.yaml"], "\n", "\r\n")}
		all = append(all, m)
	}
	require.GreaterOrEqual(t, len(all), 300)
	corpus(t, all, rulesAlone)
}

// rulesAlone is what is said of a rule file by itself: what it names stands in others.
func rulesAlone(t *testing.T, files map[string]string) expr.Diagnostics {
	_, told, err := loadFiles(config.Files{Rules: map[string][]byte{"rules.yaml": []byte(files["rules.yaml"])}})
	require.NoError(t, err)
	return told
}
