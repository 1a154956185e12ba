package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	amconfig "github.com/prometheus/alertmanager/config"
	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/dispatch"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

const mostRules = 10_000

// measureMatch asks how long it takes to find the one rule of many that an alert matches, and what others take for it.
// All sides look for the alert of the rule in the middle.
func measureMatch(context.Context, string) error {
	costs := map[int]float64{}
	for _, count := range []int{10, 100, 1_000, mostRules} {
		before, loading, used := heap(), time.Now(), cpuTime()
		set, err := loadRules(count)
		if err != nil {
			return err
		}
		if count == mostRules {
			figure("load-10k-rules", time.Since(loading).Seconds(), "s")
			figure("load-10k-rules-cpu", (cpuTime() - used).Seconds(), "s")
			figure("heap-per-rule-10k", float64(heap()-before)/mostRules/1024, "KiB")
		}
		vars := expr.Vars{Alert: expr.Alert{Status: "firing", Labels: middle(count)}}
		var matches []rules.Match
		if matches, _ = set.AppendMatches(nil, &vars); len(matches) != 1 {
			return fmt.Errorf("%d rules: not one of them matches", count)
		}
		look := func() { matches, _ = set.AppendMatches(matches[:0], &vars) }
		costs[count] = cost(look)
		figure(fmt.Sprintf("match-%d-rules", count), costs[count], "ns")
		figure(fmt.Sprintf("match-%d-rules-allocations", count), allocations(look), "allocations")
	}
	linear, err := linearCEL(mostRules)
	if err != nil {
		return err
	}
	routes, err := alertmanagerRoutes(mostRules)
	if err != nil {
		return err
	}
	figure("match-10k-linear-cel", linear, "ns")
	figure("match-10k-alertmanager-routes", routes, "ns")
	ratio("match-10k-vs-alertmanager-routes", routes/costs[mostRules])
	ratio("match-10k-vs-linear-cel", linear/costs[mostRules])
	ratio("match-10k-vs-100", costs[mostRules]/costs[100])
	return nil
}

// middle are the labels of the alert of the rule in the middle.
func middle(count int) map[string]string {
	return map[string]string{"alertname": alertName(count / 2), "service": "api", "environment": "production", "severity": "critical"}
}

func alertName(n int) string { return fmt.Sprintf("Alert%d", n) }

func loadRules(count int) (*rules.Set, error) {
	env, err := expr.NewEnv()
	if err != nil {
		return nil, err
	}
	set, found := rules.Load(env, map[string][]byte{"rules.yaml": []byte(manyRules(count))})
	return set, found.Err()
}

// manyRules are rules as people write them: a variable of the group, a confirmation, a summary.
func manyRules(count int) string {
	var b strings.Builder
	b.WriteString("groups:\n  - name: all\n    variables:\n      - {name: production, value: 'alert.labels.environment == \"production\"'}\n    rules:\n")
	for n := range count {
		fmt.Fprintf(&b, `      - rule: R%d
        when: alert.labels.alertname == %q && production
        mode: auto
        for: 5m
        confirm: [{query: 'service:error_ratio:rate1m{service="${target.name}"}', holds: value > 0.01}]
        do: rollback
        labels: {severity: critical}
        annotations: {summary: "errors of ${target.name}"}
`, n, alertName(n))
	}
	return b.String()
}

// linearCEL asks plain cel-go programs over typed labels, one after another.
func linearCEL(count int) (float64, error) {
	env, err := cel.NewEnv(cel.Variable("labels", cel.MapType(cel.StringType, cel.StringType)))
	if err != nil {
		return 0, err
	}
	programs := make([]cel.Program, count)
	for n := range programs {
		checked, issues := env.Compile(fmt.Sprintf(`labels.alertname == %q && labels.environment == "production"`, alertName(n)))
		if issues.Err() != nil {
			return 0, issues.Err()
		}
		if programs[n], err = env.Program(checked, cel.EvalOptions(cel.OptOptimize)); err != nil {
			return 0, err
		}
	}
	input, found := map[string]any{"labels": middle(count)}, 0
	took := cost(func() {
		found = 0
		for _, p := range programs {
			if out, _, err := p.Eval(input); err == nil && out.Value() == true {
				found++
			}
		}
	})
	if found != 1 {
		return 0, fmt.Errorf("plain cel-go: %d programs are true", found)
	}
	return took, nil
}

// alertmanagerRoutes asks Alertmanager's own route tree, with a route for each alert side by side.
func alertmanagerRoutes(count int) (float64, error) {
	top := &amconfig.Route{Receiver: "default"}
	for n := range count {
		m, err := amlabels.NewMatcher(amlabels.MatchEqual, "alertname", alertName(n))
		if err != nil {
			return 0, err
		}
		top.Routes = append(top.Routes, &amconfig.Route{Receiver: fmt.Sprintf("r%d", n), Matchers: amcommon.Matchers{m}})
	}
	tree := dispatch.NewRoute(top, nil)
	set := model.LabelSet{}
	for name, value := range middle(count) {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	var routes []*dispatch.Route
	took := cost(func() { routes = tree.Match(set) })
	if len(routes) != 1 || routes[0].RouteOpts.Receiver != fmt.Sprintf("r%d", count/2) {
		return 0, fmt.Errorf("alertmanager's tree found %d routes", len(routes))
	}
	return took, nil
}

// cost is the CPU time that one call takes in ns, the collector's share too: the least of several rounds, for others use the
// machine as well.
func cost(call func()) float64 {
	const rounds, least = 7, 50 * time.Millisecond
	calls, best := 1, 0.0
	for round := 0; round < rounds; {
		begun := cpuTime()
		for range calls {
			call()
		}
		took := cpuTime() - begun
		if took < least {
			calls *= 2
			continue
		}
		if one := float64(took.Nanoseconds()) / float64(calls); round == 0 || one < best {
			best = one
		}
		round++
	}
	return best
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &used); err != nil {
		return 0
	}
	return time.Duration(used.Nano())
}

// allocations is how many allocations a call makes.
func allocations(call func()) float64 {
	const calls = 10_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		call()
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / calls)
}

// heap is what is reachable, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
