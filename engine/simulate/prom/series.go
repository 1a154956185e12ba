package prom

import (
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// sample is one value at one time (in milliseconds): a number, or a histogram when there is one.
type sample struct {
	t int64
	f float64
	h *histogram.FloatHistogram
}

// same compares bit by bit, so that a stale marker is another value than NaN.
func (a sample) same(b sample) bool {
	if a.h != nil || b.h != nil {
		return a.h != nil && b.h != nil && a.h.Equals(b.h)
	}
	return math.Float64bits(a.f) == math.Float64bits(b.f)
}

// run is a stretch of samples at an even distance. A value that does not change is kept once, so that a month of a quiet
// series costs nothing.
type run struct {
	from, step int64
	n          int
	per        int // how many samples each value makes
	before     int // how many samples of the series lie before it
	values     []float64
	histograms []*histogram.FloatHistogram // in place of values
}

func (r *run) time(i int) int64 { return r.from + int64(i)*r.step }
func (r *run) last() int64      { return r.time(r.n - 1) }

func (r *run) at(i int) sample {
	if r.histograms != nil {
		return sample{t: r.time(i), h: r.histograms[r.index(i, len(r.histograms))]}
	}
	return sample{t: r.time(i), f: r.values[r.index(i, len(r.values))]}
}

func (r *run) index(i, kept int) int {
	if kept == 1 {
		return 0
	}
	return i / r.per
}

// find gives the first sample at or after t.
func (r *run) find(t int64) int {
	if t <= r.from {
		return 0
	}
	return int((t - r.from + r.step - 1) / r.step)
}

// part cuts out the samples from one index up to another.
func (r *run) part(from, to int) run {
	p := run{from: r.time(from), step: r.step, n: to - from, per: 1}
	for i := from; i < to; i++ {
		s := r.at(i)
		if s.h != nil {
			p.histograms = append(p.histograms, s.h)
		} else {
			p.values = append(p.values, s.f)
		}
		if len(r.values)+len(r.histograms) == 1 {
			break // one value for all
		}
	}
	return p
}

// entry is one series: its runs in the order of time, without overlaps.
type entry struct {
	lset labels.Labels
	runs []run
}

// steady is how often a value must repeat to be kept once.
const steady = 8

// encode lays a written sequence on the grid: each value makes per samples, step apart.
func (e *entry) encode(sequence []parser.SequenceValue, start, step int64, per int) {
	for i := 0; i < len(sequence); {
		if sequence[i].Omitted {
			i++
			continue
		}
		n := stretch(sequence[i:])
		e.runs = append(e.runs, runOf(sequence[i:i+n], start+int64(i*per)*step, step, per))
		i += n
	}
	e.number(1)
}

// stretch is how many of the values, from the first, one run takes.
func stretch(rest []parser.SequenceValue) int {
	if n := repeats(rest); n >= steady {
		return n
	}
	n := 1
	for n < len(rest) && alike(rest[0], rest[n]) && repeats(rest[n:min(n+steady, len(rest))]) < steady {
		n++
	}
	return n
}

func repeats(rest []parser.SequenceValue) int {
	n := 1
	for n < len(rest) && alike(rest[0], rest[n]) && read(rest[0]).same(read(rest[n])) {
		n++
	}
	return n
}

// alike says whether both are numbers, or both are histograms.
func alike(a, b parser.SequenceValue) bool {
	return !b.Omitted && (a.Histogram == nil) == (b.Histogram == nil)
}

func read(v parser.SequenceValue) sample { return sample{f: v.Value, h: v.Histogram} }

func runOf(values []parser.SequenceValue, from, step int64, per int) run {
	r := run{from: from, step: step, n: len(values) * per, per: per}
	if repeats(values) == len(values) {
		values = values[:1]
	}
	for _, v := range values {
		if v.Histogram != nil {
			r.histograms = append(r.histograms, v.Histogram)
		} else {
			r.values = append(r.values, v.Value)
		}
	}
	return r
}

// lookup gives the place of the first sample at or after t: its run and its index there.
func lookup(runs []run, t int64) (at, i int) {
	at = sort.Search(len(runs), func(n int) bool { return runs[n].last() >= t })
	if at == len(runs) {
		return at, 0
	}
	return at, runs[at].find(t)
}

// add puts one sample where none is yet; false when there is one with another value.
func (e *entry) add(s sample) bool {
	at, i := lookup(e.runs, s.t)
	switch {
	case at == len(e.runs):
		e.grow(s)
	case e.runs[at].time(i) == s.t:
		return e.runs[at].at(i).same(s)
	default:
		e.insert(at, i, s)
	}
	return true
}

// grow adds a sample after all others.
func (e *entry) grow(s sample) {
	if len(e.runs) == 0 || !e.runs[len(e.runs)-1].extend(s) {
		e.runs = append(e.runs, single(s))
		e.number(len(e.runs) - 1)
	}
}

func single(s sample) run {
	r := run{from: s.t, step: 1, n: 1, per: 1, values: []float64{s.f}}
	if s.h != nil {
		r.values, r.histograms = nil, []*histogram.FloatHistogram{s.h}
	}
	return r
}

// extend takes a sample into the run when it lies on its grid and needs no new form.
func (r *run) extend(s sample) bool {
	if r.n == 1 {
		r.step = s.t - r.from
	}
	if r.per != 1 || s.t != r.time(r.n) || s.h != nil || r.values == nil {
		return false
	}
	switch held := len(r.values) == 1 && r.n > 1; {
	case held && !r.at(0).same(s):
		return false
	case !held && (r.n > 1 || !r.at(0).same(s)):
		r.values = append(r.values, s.f)
	}
	r.n++
	return true
}

// insert puts a sample before sample i of a run.
func (e *entry) insert(at, i int, s sample) {
	if old := e.runs[at]; i > 0 {
		e.runs = slices.Replace(e.runs, at, at+1, old.part(0, i), old.part(i, old.n))
		at++
	}
	e.runs = slices.Insert(e.runs, at, single(s))
	e.number(1)
}

// cut removes what lies from one time up to another.
func (e *entry) cut(from, to int64) {
	kept := []run{}
	for _, r := range e.runs {
		first, after := min(r.find(from), r.n), min(r.find(to), r.n)
		if first >= after {
			kept = append(kept, r)
			continue
		}
		if first > 0 {
			kept = append(kept, r.part(0, first))
		}
		if after < r.n {
			kept = append(kept, r.part(after, r.n))
		}
	}
	e.runs = kept
	e.number(1)
}

// number counts the samples before each run, from one run on. Where the count begins does not matter.
func (e *entry) number(from int) {
	for at := max(from, 1); at < len(e.runs); at++ {
		e.runs[at].before = e.runs[at-1].before + e.runs[at-1].n
	}
}

// rank is how many samples lie before t.
func (e *entry) rank(t int64) int {
	at, i := lookup(e.runs, t)
	if at < len(e.runs) {
		return e.runs[at].before + i
	}
	if at == 0 {
		return 0
	}
	return e.runs[at-1].before + e.runs[at-1].n
}
