package backtest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions/client"
)

// beats are the samples of one series as far as their times tell: runs without a break. Prometheus' `timestamp()` gives
// the times themselves, whatever grid is asked for, so that neither the grid nor the server's lookback (it repeats the last
// sample for five minutes) blurs where a run begins and ends.
type beats struct {
	Labels map[string]string `json:"labels,omitempty"`
	Runs   []run             `json:"runs"`
}

// run is a stretch of samples: the first, the last, and how far apart they are; 0 for a single one. In milliseconds.
type run struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	Every int64 `json:"every,omitempty"`
}

// beatsOf reads what `timestamp(…)` answered.
func beatsOf(series []client.Series) []beats {
	all := make([]beats, 0, len(series))
	for _, s := range series {
		times := make([]int64, len(s.Points))
		for n, p := range s.Points {
			times[n] = int64(p.Value*1000 + 0.5)
		}
		slices.Sort(times)
		all = append(all, beats{s.Labels, runs(slices.Compact(times))})
	}
	return all
}

// runs cuts times where more than one beat is missing.
func runs(times []int64) []run {
	every := int64(0)
	for n := 1; n < len(times); n++ {
		if d := times[n] - times[n-1]; every == 0 || d < every {
			every = d
		}
	}
	var all []run
	for _, t := range times {
		all = joined(all, run{t, t, 0}, every)
	}
	return all
}

// joined adds a run behind the others: to the last one when no more than one beat is missing between them.
func joined(all []run, next run, every int64) []run {
	if n := len(all) - 1; n >= 0 && next.First-all[n].Last <= every*5/2 {
		all[n].Last = max(all[n].Last, next.Last)
		all[n].Every = leastOf(leastOf(all[n].Every, next.Every), every)
		return all
	}
	return append(all, next)
}

func leastOf(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// together joins the chunks of each series; step is the distance of beats where one alone does not tell.
func together(chunks [][]beats, step time.Duration) []beats {
	index := map[string]int{}
	var all []beats
	for _, chunk := range chunks {
		for _, b := range chunk {
			key := labelText(b.Labels)
			at, known := index[key]
			if !known {
				at = len(all)
				index[key] = at
				all = append(all, beats{Labels: b.Labels})
			}
			all[at].Runs = append(all[at].Runs, b.Runs...)
		}
	}
	for n := range all {
		all[n].Runs = whole(all[n].Runs, step.Milliseconds())
	}
	slices.SortFunc(all, func(a, b beats) int { return strings.Compare(labelText(a.Labels), labelText(b.Labels)) })
	return all
}

func whole(parts []run, step int64) []run {
	slices.SortFunc(parts, func(a, b run) int { return cmp.Compare(a.First, b.First) })
	every := int64(0)
	for _, r := range parts {
		every = leastOf(every, r.Every)
	}
	if every == 0 {
		every = step
	}
	var all []run
	for _, r := range parts {
		all = joined(all, r, every)
	}
	for n := range all {
		all[n].Every = leastOf(all[n].Every, every)
	}
	return all
}

// Silence is a time in which Prometheus recorded nothing.
type Silence struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// silences are the times between runs, and before the first and after the last of them.
func silences(all []beats, from, to time.Time, slack time.Duration) []Silence {
	var found []Silence
	add := func(a, b time.Time) {
		if b.Sub(a) > slack {
			found = append(found, Silence{a, b})
		}
	}
	at := from
	if len(all) > 0 {
		for _, r := range all[0].Runs {
			add(at, time.UnixMilli(r.First).UTC())
			at = later(at, time.UnixMilli(r.Last).UTC())
		}
	}
	add(at, to)
	return found
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
