package prom

import (
	"context"
	"errors"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// memory keeps all series. Queries find them in the order of their labels, whatever order they came in, so that sums of
// floats come out the same each time.
type memory struct {
	byName  map[string][]*entry
	byKey   map[string]*entry
	horizon int64 // the latest sample that is visible
}

func newMemory() *memory { return &memory{byName: map[string][]*entry{}, byKey: map[string]*entry{}} }

// entry finds a series, or makes an empty one.
func (m *memory) entry(lset labels.Labels) (e *entry, isNew bool) {
	var buf [1024]byte
	key := lset.Bytes(buf[:0])
	if e = m.byKey[string(key)]; e != nil {
		return e, false
	}
	e = &entry{lset: lset}
	m.byKey[string(key)] = e
	name := lset.Get(model.MetricNameLabel)
	at, _ := slices.BinarySearchFunc(m.byName[name], e, inOrder)
	m.byName[name] = slices.Insert(m.byName[name], at, e)
	return e, true
}

func inOrder(a, b *entry) int { return labels.Compare(a.lset, b.lset) }

// cut removes what all series have from one time up to another.
func (m *memory) cut(from, to int64) {
	for _, e := range m.byKey {
		e.cut(from, to)
	}
}

// Querier reads the samples from mint to maxt, never beyond the horizon.
func (m *memory) Querier(mint, maxt int64) (storage.Querier, error) {
	return querier{m, mint, min(maxt, m.horizon)}, nil
}

type querier struct {
	memory     *memory
	mint, maxt int64
}

// Select gives the series that all matchers fit.
func (q querier) Select(_ context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	mint, maxt := q.mint, q.maxt
	if hints != nil {
		mint, maxt = hints.Start, min(hints.End, q.memory.horizon)
	}
	found := &seriesSet{at: -1}
	for _, e := range q.candidates(matchers) {
		if fits(e.lset, matchers) {
			found.series = append(found.series, window{e, mint, maxt})
		}
	}
	return found
}

// candidates are the series of the metric that is named, or all.
func (q querier) candidates(matchers []*labels.Matcher) []*entry {
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "" {
			return q.memory.byName[m.Value]
		}
	}
	all := []*entry{}
	for _, e := range q.memory.byKey {
		all = append(all, e)
	}
	slices.SortFunc(all, inOrder)
	return all
}

func fits(lset labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}

// LabelValues gives the values of one label.
func (q querier) LabelValues(_ context.Context, name string, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(matchers, func(l labels.Label) string {
		if l.Name == name {
			return l.Value
		}
		return ""
	}), nil, nil
}

// LabelNames gives the names of all labels.
func (q querier) LabelNames(_ context.Context, _ *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(matchers, func(l labels.Label) string { return l.Name }), nil, nil
}

func (q querier) collect(matchers []*labels.Matcher, word func(labels.Label) string) []string {
	words := []string{}
	for _, e := range q.candidates(matchers) {
		if fits(e.lset, matchers) {
			e.lset.Range(func(l labels.Label) {
				if w := word(l); w != "" {
					words = append(words, w)
				}
			})
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// Close has nothing to do.
func (q querier) Close() error { return nil }

type seriesSet struct {
	series []window
	at     int
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *seriesSet) At() storage.Series                { return s.series[s.at] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// Appender takes what rules record. It is written at once: nothing reads between Append and Commit.
func (m *memory) Appender(context.Context) storage.Appender { return appender{m} }

type appender struct{ memory *memory }

// Append adds one number.
func (a appender) Append(_ storage.SeriesRef, lset labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	return a.add(lset, sample{t: t, f: v})
}

// AppendHistogram adds one histogram.
func (a appender) AppendHistogram(_ storage.SeriesRef, lset labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	if fh == nil {
		fh = h.ToFloat(nil)
	}
	return a.add(lset, sample{t: t, h: fh})
}

func (a appender) add(lset labels.Labels, s sample) (storage.SeriesRef, error) {
	if e, _ := a.memory.entry(lset); !e.add(s) {
		return 0, storage.ErrDuplicateSampleForTimestamp
	}
	return 0, nil
}

var errNotKept = errors.New("only samples are kept here")

func (a appender) SetOptions(*storage.AppendOptions) {}
func (a appender) Commit() error                     { return nil }
func (a appender) Rollback() error                   { return errNotKept }

func (a appender) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, errNotKept
}

func (a appender) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, errNotKept
}

func (a appender) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, errNotKept
}

func (a appender) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, errNotKept
}
