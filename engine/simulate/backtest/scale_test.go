//go:build neighbours

package backtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manyTargets are services of one class.
func manyTargets(t testing.TB, n int) *Configuration {
	text := targetFile[:strings.Index(targetFile, "targets:")] + "targets:\n"
	for i := range n {
		text += fmt.Sprintf("  - {name: s%d, class: web, select: {service: s%d}, environment: production}\n", i, i)
	}
	return withTargets(t, text)
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
		began, state := time.Now(), b.TempDir()
		past := options(b, url, "1d", fmt.Sprintf("%dd", days-1))
		past.Parallel, past.State = 4, state
		h, err := Read(b.Context(), past, Sources{Mappings: DefaultMappings()}, c)
		require.NoError(b, err)
		read := time.Since(began)
		r, err := Run(b.Context(), h, c, "")
		require.NoError(b, err)
		all, again := time.Since(began), time.Now()
		_, err = Read(b.Context(), past, Sources{Mappings: DefaultMappings()}, c)
		require.NoError(b, err)
		b.ReportMetric(read.Seconds(), "s-read")
		b.ReportMetric((all - read).Seconds(), "s-replay")
		b.ReportMetric(time.Since(again).Seconds(), "s-read-again")
		b.ReportMetric(float64(r.Episodes), "episodes")
		b.ReportMetric(float64(r.Releases), "releases")
	}
}
