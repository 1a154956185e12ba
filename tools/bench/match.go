package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// measureMatch asks how long an alert that one rule of many matches is looked at.
func measureMatch(context.Context, string) error {
	costs := map[int]float64{}
	for _, count := range []int{10, 100, 1_000} {
		env, err := expr.NewEnv()
		if err != nil {
			return err
		}
		set, found := rules.Load(env, map[string][]byte{"rules.yaml": []byte(manyRules(count))})
		if err := found.Err(); err != nil {
			return err
		}
		vars := expr.Vars{Alert: expr.Alert{Status: "firing", Labels: map[string]string{
			"alertname": fmt.Sprintf("Alert%d", count/2), "service": "api", "environment": "production", "severity": "critical",
		}}}
		if len(set.Match(vars)) != 1 {
			return fmt.Errorf("%d rules: not one of them matches", count)
		}
		costs[count] = float64(testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				set.Match(vars)
			}
		}).NsPerOp())
		figure(fmt.Sprintf("match-%d-rules", count), costs[count], "ns")
	}
	ratio("match-1000-vs-100-rules", costs[1_000]/costs[100])
	return nil
}

func manyRules(count int) string {
	var b strings.Builder
	b.WriteString("groups:\n  - name: all\n    rules:\n")
	for n := range count {
		fmt.Fprintf(&b, "      - {rule: R%d, when: 'alert.labels.alertname == \"Alert%d\" && alert.labels.environment == \"production\"', do: rollback}\n", n, n)
	}
	return b.String()
}
