package backtest

import (
	"context"
	"slices"

	"astern.dev/astern/engine/plan"
)

// Sources say where the releases come from.
type Sources struct {
	// Mappings say which series of Prometheus tell of releases; Told are from a file, and then no series is asked unless
	// there are mappings, too.
	Mappings []Mapping
	Told     []Release
	// Words are what people said of releases, whoever told of these.
	Words []Word
}

// Read reads the past as far as these configurations could have seen it. An error says which part could not be read; what
// was read before is kept for the next run.
func Read(ctx context.Context, o Options, from Sources, configurations ...*Configuration) (*History, error) {
	p, err := open(o)
	if err != nil {
		return nil, err
	}
	h := &History{Since: o.Since, Until: o.Until, past: p}
	quiet, unwatched, watched, err := p.silent(ctx)
	if err != nil {
		return nil, err
	}
	if watched {
		h.unwatched = unwatched
	}
	episodes, err := p.episodes(ctx, alertnames(configurations), quiet)
	if err != nil {
		return nil, err
	}
	h.Step = p.Step
	for _, e := range episodes {
		switch {
		case e.From.After(o.Since) && e.From.Before(o.Until):
			h.Episodes = append(h.Episodes, e)
			if end, ends := h.followed(e); ends && !end.Equal(e.To) {
				h.long++
			}
		case !e.From.After(o.Since) && (e.To.IsZero() || e.To.After(o.Since)):
			h.early++
		}
	}
	for _, s := range quiet {
		if s.To.After(o.Since) {
			h.Silences = append(h.Silences, Silence{later(s.From, o.Since), s.To})
		}
	}
	h.begin = p.begin(coarseStep)
	h.Releases = slices.Clone(from.Told)
	if len(from.Mappings) > 0 {
		found, err := p.releases(ctx, books(configurations), from.Mappings, quiet)
		if err != nil {
			return nil, err
		}
		h.Releases = append(h.Releases, found...)
	}
	h.Releases = slices.DeleteFunc(sorted(h.Releases), func(r Release) bool { return !r.At.Before(o.Until) })
	h.moves, h.words = h.movesBack(), from.Words
	return h, nil
}

// alertnames are those that a rule of any of the configurations can match; nil when a rule may match any.
func alertnames(configurations []*Configuration) []string {
	names := []string{}
	for _, c := range configurations {
		some, all := c.Rules.Alertnames()
		if all {
			return nil
		}
		names = append(names, some...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func books(configurations []*Configuration) []*plan.Book {
	all := make([]*plan.Book, len(configurations))
	for n, c := range configurations {
		all[n] = c.Book
	}
	return all
}
