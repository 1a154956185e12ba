package prom

import (
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// window is what a query sees of a series: the samples from one time to another, both included.
type window struct {
	*entry
	mint, maxt int64
}

// Labels gives the series' name and labels.
func (w window) Labels() labels.Labels { return w.lset }

// Iterator walks the window with Prometheus' own iterator over samples in memory.
func (w window) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	first, after := w.rank(w.mint), w.rank(max(w.maxt, w.maxt+1)) // the end of time has no next millisecond
	return storage.NewListSeriesIterator(&walk{runs: w.runs, first: first, n: max(after-first, 0)})
}

// walk unfolds the runs one sample at a time, each overwriting the one before: the iterator keeps none.
type walk struct {
	runs     []run
	first, n int
	at       int // the run that was read last
	now      unfolded
}

// Len is how many samples there are.
func (w *walk) Len() int { return w.n }

// Get gives one sample, until the next is asked for.
func (w *walk) Get(i int) chunks.Sample {
	i += w.first
	if r := &w.runs[w.at]; i < r.before || i >= r.before+r.n {
		w.at = sort.Search(len(w.runs), func(n int) bool { return w.runs[n].before+w.runs[n].n > i })
	}
	w.now.sample = w.runs[w.at].at(i - w.runs[w.at].before)
	return &w.now
}

// unfolded is a sample as Prometheus reads one.
type unfolded struct{ sample }

// T is its time.
func (u *unfolded) T() int64 { return u.t }

// ST is its start time; the notation has none.
func (u *unfolded) ST() int64 { return 0 }

// F is its number.
func (u *unfolded) F() float64 { return u.f }

// H is never there: histograms are kept as float histograms.
func (u *unfolded) H() *histogram.Histogram { return nil }

// FH is its histogram: a copy, which the reader may change.
func (u *unfolded) FH() *histogram.FloatHistogram { return u.h.Copy() }

// Type says what it is.
func (u *unfolded) Type() chunkenc.ValueType {
	if u.h != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// Copy gives one that stays.
func (u *unfolded) Copy() chunks.Sample {
	kept := *u
	if u.h != nil {
		kept.h = u.h.Copy()
	}
	return &kept
}
