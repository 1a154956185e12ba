package lint

import (
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/engine/promql"
	"astern.dev/astern/rules/expr"
)

// prometheus is what the rule files of Prometheus say.
type prometheus struct {
	alerts, records map[string][]*promRule
	files           []string
}

// promRule is one rule of Prometheus.
type promRule struct {
	name   string
	at     string // file:line
	expr   parser.Expr
	wait   time.Duration     // its `for`
	labels map[string]string // its group's labels, too; may hold templates
}

// readPrometheus reads the rule files with Prometheus' own code. Files with a mistake say nothing certain about what is
// not in them: then nothing is held against any of them.
func (w *world) readPrometheus() {
	files := w.in.PrometheusRules
	if len(files) == 0 {
		return
	}
	p := &prometheus{alerts: map[string][]*promRule{}, records: map[string][]*promRule{}, files: slices.Sorted(maps.Keys(files))}
	good := true
	for _, name := range p.files {
		groups, errs := rulefmt.Parse(files[name], true, model.UTF8Validation, promql.Parser, slog.New(slog.DiscardHandler))
		good = good && len(errs) == 0
		w.refused(name, files[name], "prometheus/rules", errs)
		if len(errs) == 0 {
			p.add(name, files[name], groups)
		}
	}
	if good {
		w.prometheus = p
	}
}

func (p *prometheus) add(name string, text []byte, groups *rulefmt.RuleGroups) {
	file, _ := expr.ParseFile(name, text)
	nodes := file.Root().Get("groups").List()
	for i, g := range groups.Groups {
		for j, r := range g.Rules {
			parsed, err := promql.Parser.ParseExpr(r.Expr)
			if err != nil {
				continue // rulefmt parsed it with the same parser
			}
			labels := maps.Clone(g.Labels)
			if labels == nil {
				labels = map[string]string{}
			}
			maps.Copy(labels, r.Labels)
			rule := &promRule{name: r.Alert + r.Record, at: name, expr: parsed, wait: time.Duration(r.For), labels: labels}
			if i < len(nodes) && j < len(nodes[i].Get("rules").List()) {
				rule.at = fmt.Sprintf("%s:%d", name, nodes[i].Get("rules").List()[j].Line())
			}
			into := p.records
			if r.Alert != "" {
				into = p.alerts
			}
			into[rule.name] = append(into[rule.name], rule)
		}
	}
}

func (p *prometheus) alertNames() []string { return slices.Sorted(maps.Keys(p.alerts)) }

// alertsOf are the rules of Prometheus whose alerts a rule may match.
func (w *world) alertsOf(s *subject) []*promRule {
	if w.prometheus == nil {
		return nil
	}
	var all []*promRule
	for _, name := range w.prometheus.alertNames() {
		if !s.takes("alert.labels.alertname", name) {
			continue
		}
		for _, r := range w.prometheus.alerts[name] {
			if s.may(r.constants()) {
				all = append(all, r)
			}
		}
	}
	return all
}

// constants are the labels whose values are written out.
func (r *promRule) constants() map[string]string {
	all := map[string]string{}
	for name, value := range r.labels {
		if !strings.Contains(value, "{{") {
			all[name] = value
		}
	}
	return all
}

// refused tells the errors of another program's reader, one for each place: some are told twice.
func (w *world) refused(name string, text []byte, code string, errs []error) {
	lines := map[int]bool{}
	for _, err := range errs {
		d := foreign(name, text, code, err)
		if d.Line == 0 || !lines[d.Line] {
			w.add(d)
		}
		lines[d.Line] = true
	}
}

var (
	atPlace = regexp.MustCompile(`^(?:[^:\s]*: )?(\d+):(\d+): `)
	atLine  = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s+)?line (\d+): `)
	goTypes = regexp.MustCompile(` (?:in type|into) \S+`)
)

// foreign is an error of another program's reader, placed where it says; of many it is the first.
func foreign(name string, text []byte, code string, err error) expr.Diagnostic {
	message, line, column := err.Error(), 0, 1
	if m := atPlace.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		column, _ = strconv.Atoi(m[2])
		message = message[len(m[0]):]
	} else if m := atLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message, _, _ = strings.Cut(goTypes.ReplaceAllString(message[len(m[0]):], ""), "\n")
	}
	file, _ := expr.ParseFile(name, text)
	return file.At(line, column, code, strings.Join(strings.Fields(message), " "))
}
