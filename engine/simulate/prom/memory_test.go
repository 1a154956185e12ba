package prom

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However a series is kept, it reads as the list of its samples: after encoding, adding and cutting, walked or sought.
func TestRunsReadAsTheListOfTheirSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, list := drawn(t)
		for range rapid.IntRange(0, 12).Draw(t, "changes") {
			list = changed(t, e, list)
		}
		mint, maxt := rapid.Int64Range(-10, 100).Draw(t, "mint"), rapid.Int64Range(50, 500).Draw(t, "maxt")
		list = slices.DeleteFunc(list, func(s sample) bool { return s.t < mint || s.t > maxt })
		it, pos := window{e, mint, maxt}.Iterator(nil), -1
		for pos < len(list) {
			var kind chunkenc.ValueType
			if rapid.Bool().Draw(t, "seek") {
				to := rapid.Int64Range(0, 500).Draw(t, "to")
				for pos = max(pos, 0); pos < len(list) && list[pos].t < to; {
					pos++
				}
				kind = it.Seek(to)
			} else {
				pos++
				kind = it.Next()
			}
			reads(t, list, pos, it, kind)
		}
	})
}

func reads(t *rapid.T, list []sample, pos int, it chunkenc.Iterator, kind chunkenc.ValueType) {
	if pos >= len(list) {
		require.Equal(t, chunkenc.ValNone, kind)
		return
	}
	require.Equal(t, chunkenc.ValFloat, kind)
	at, f := it.At()
	require.Equal(t, list[pos].t, at)
	require.Equal(t, list[pos].t, it.AtT())
	require.True(t, list[pos].same(sample{f: f}))
}

// drawn is a series as it is loaded, and its samples.
func drawn(t *rapid.T) (*entry, []sample) {
	sequence, list := []parser.SequenceValue{}, []sample{}
	step, per := rapid.Int64Range(1, 3).Draw(t, "step"), rapid.IntRange(1, 4).Draw(t, "per")
	for range rapid.IntRange(0, 6).Draw(t, "pieces") {
		v := parser.SequenceValue{Value: rapid.SampledFrom([]float64{0, 1, 2, math.NaN(), math.Float64frombits(value.StaleNaN)}).Draw(t, "value"), Omitted: rapid.IntRange(0, 4).Draw(t, "omitted") == 0}
		for range rapid.IntRange(1, 2*steady).Draw(t, "times") {
			for k := range per {
				if !v.Omitted {
					list = append(list, sample{t: int64(len(sequence)*per+k) * step, f: v.Value})
				}
			}
			sequence = append(sequence, v)
		}
	}
	e := &entry{}
	e.encode(sequence, 0, step, per)
	return e, list
}

func changed(t *rapid.T, e *entry, list []sample) []sample {
	if rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
		from := rapid.Int64Range(0, 400).Draw(t, "from")
		to := from + rapid.Int64Range(0, 100).Draw(t, "to")
		e.cut(from, to)
		return slices.DeleteFunc(list, func(s sample) bool { return s.t >= from && s.t < to })
	}
	next := int64(0)
	if len(list) > 0 {
		next = list[len(list)-1].t
	}
	if !rapid.Bool().Draw(t, "between") {
		next += rapid.Int64Range(1, 2).Draw(t, "next")
	} else {
		next = rapid.Int64Range(0, 500).Draw(t, "t")
	}
	s := sample{t: next, f: rapid.SampledFrom([]float64{1, 2, math.NaN()}).Draw(t, "f")}
	at, found := slices.BinarySearchFunc(list, s, func(a, b sample) int { return int(a.t - b.t) })
	require.Equal(t, !found || list[at].same(s), e.add(s))
	if !found {
		list = slices.Insert(list, at, s)
	}
	return list
}

// What a rule records beside what was written: equal is fine, other is refused, and where nothing is written it is kept.
func TestARecordedSeriesMeetsAWrittenOne(t *testing.T) {
	s := server(t, Options{}, series{"in": "1 2 3 4", "out": "1 9 _ 4"}, `groups: [{name: g, rules: [{record: out, expr: in}]}]`)
	problems := []string{}
	for n := range 4 {
		_, err := s.Evaluate(t.Context(), start.Add(time.Duration(n)*time.Minute))
		problems = append(problems, fmt.Sprint(err))
	}
	require.Equal(t, []string{"<nil>", `rules.yaml: group "g", rule "out" at 2026-03-01T09:01:00Z: duplicate sample for timestamp`, "<nil>", "<nil>"}, problems)
	for n, want := range []float64{1, 9, 3, 4} {
		sample, err := open(t, s).Query(t.Context(), "out", start.Add(time.Duration(n)*time.Minute))
		require.NoError(t, err)
		require.Equal(t, want, sample.Value)
	}
}

func TestLabelsCanBeAskedFor(t *testing.T) {
	s := server(t, Options{}, series{`a{x="1"}`: "1", `a{x="2",y="3"}`: "1", "b": "1"}, "")
	q, err := s.memory.Querier(0, math.MaxInt64)
	require.NoError(t, err)
	names, _, err := q.LabelNames(t.Context(), nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "a"))
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "x", "y"}, names)
	values, _, err := q.LabelValues(t.Context(), "x", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, values)
}

// Two hundred series over a month: quiet ones cost nothing, busy ones eight bytes a sample.
func TestAMonthOfSeriesIsCheap(t *testing.T) {
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, s := held(), New(Options{Start: start, Scrape: 15 * time.Second})
	for n := range 190 {
		require.NoError(t, s.Load(fmt.Sprintf(`quiet{n="%d"}`, n), fmt.Sprintf("%dx%d 1x60 %dx100", n, month-160, n)))
	}
	for n := range 10 {
		require.NoError(t, s.Load(fmt.Sprintf(`busy{n="%d"}`, n), strings.Repeat("1 2 3 ", month/3)))
	}
	used := held() - before
	runtime.KeepAlive(s)
	require.Less(t, used, uint64(8<<20))
	t.Logf("%d kB", used>>10)
}
