//go:build neighbours

package backtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules/expr"
)

// manyTargets are 200 services of one class.
func manyTargets(t testing.TB, n int) *Configuration {
	c := configuration(t, ruleFile)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	text := targetFile[:strings.Index(targetFile, "targets:")] + "targets:\n"
	for i := range n {
		text += fmt.Sprintf("  - {name: s%d, class: web, select: {service: s%d}, environment: production}\n", i, i)
	}
	book, found := plan.Load(env, c.Registry, plan.Files{
		Targets: map[string][]byte{"targets.yaml": []byte(text)}, Procedures: map[string][]byte{"procedures.yaml": []byte(procedureFile)},
	})
	require.NoError(t, found.Err())
	c.Book = book
	return c
}

// BenchmarkNinetyDays: 90 days of 200 services with 10 releases each, and 2,000 alerts.
func BenchmarkNinetyDays(b *testing.B) {
	const days, services, releases, alerts = 90, 200, 10, 2000
	day, dice := 24*time.Hour, rand.New(rand.NewPCG(1, 2))
	o := newOpenMetrics(b)
	end := begin.Add(days * day)
	o.steady(`up{job="shop"}`, 1, begin, end, time.Minute)
	for s := range services {
		for r := range releases {
			from := begin.Add(time.Duration(r) * days * day / releases).Add(time.Duration(s) * time.Minute)
			to := from.Add(days * day / releases)
			o.steady(fmt.Sprintf(`build_info{service="s%d",version="v%d"}`, s, r+1), 1, from, to, 4*time.Minute)
		}
	}
	byService := map[int][]time.Time{}
	for a := range alerts {
		byService[a%services] = append(byService[a%services], begin.Add(time.Duration(a/services+1)*8*day).Add(time.Duration(dice.IntN(7*24*60))*time.Minute))
	}
	for s, times := range byService {
		for _, at := range times {
			lasts := time.Duration(4+dice.IntN(60)) * time.Minute
			value := 0.03
			if dice.IntN(2) == 0 {
				value = 0.005
			}
			o.steady(fmt.Sprintf(`errors{service="s%d"}`, s), value, at.Add(-10*time.Minute), at.Add(lasts), 15*time.Second)
			o.steady(fmt.Sprintf(`ALERTS{alertname="Errors",alertstate="firing",service="s%d"}`, s), 1, at, at.Add(lasts), 15*time.Second)
		}
	}
	url := o.prometheus(b)
	c := manyTargets(b, services)
	for b.Loop() {
		op := options(b, url, "1d", fmt.Sprintf("%dd", days-1))
		op.Parallel, op.State = 4, b.TempDir()
		began := time.Now()
		last := ""
		op.Progress = func(what string, done, total int) {
			if what != last {
				b.Log(time.Since(began).Round(time.Millisecond), what, total)
				last = what
			}
		}
		h, err := Read(b.Context(), op, Sources{Mappings: DefaultMappings()}, c)
		require.NoError(b, err)
		read := time.Since(began)
		if p := os.Getenv("CPU_PROFILE"); p != "" {
			f, _ := os.Create(p)
			_ = pprof.StartCPUProfile(f)
			defer f.Close()
		}
		r, err := Run(b.Context(), h, c, "")
		require.NoError(b, err)
		pprof.StopCPUProfile()
		b.Log("read", read, "all", time.Since(began), "episodes", r.Episodes, "releases", r.Releases, r.Rules[0])
		again := time.Now()
		_, err = Read(b.Context(), op, Sources{Mappings: DefaultMappings()}, c)
		require.NoError(b, err)
		b.Log("read again", time.Since(again))
	}
	_ = os.Stderr
}
