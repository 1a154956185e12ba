package backtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Episode is an alert that fired from one time to another.
type Episode struct {
	Labels map[string]string `json:"labels"`
	From   time.Time         `json:"from"`
	// To is zero when it still fires at the end.
	To time.Time `json:"to,omitzero"`
}

const watchdog = "Watchdog"

// The distance at which the questions are asked that need no more: whether anything was recorded.
const aliveStep = time.Minute

// resolvesAfter is how long Alertmanager keeps an alert of which it hears nothing any more: Prometheus says with each
// sending that it ends four minutes later.
const resolvesAfter = 4 * time.Minute

// maxNames bounds a list of alertnames in a question: longer ones do not pass every proxy.
const maxNames = 4000

// selector names the alerts that fire; names of nil are all of them.
func selector(names []string) string {
	quoted := make([]string, len(names))
	for n, name := range names {
		quoted[n] = regexp.QuoteMeta(name)
	}
	if list := strings.Join(quoted, "|"); len(list) <= maxNames && names != nil {
		return `ALERTS{alertstate="firing",alertname=~` + strconv.Quote(list) + `}`
	}
	return `ALERTS{alertstate="firing",alertname!="` + watchdog + `"}`
}

// episodes reads what fired.
func (p *past) episodes(ctx context.Context, names []string, quiet []Silence) ([]Episode, error) {
	if names != nil && len(names) == 0 {
		return nil, nil
	}
	if p.Step == 0 {
		if err := p.findStep(ctx, names); err != nil || p.Step == 0 {
			return nil, err
		}
	}
	query := "timestamp(" + selector(names) + ")"
	chunks, err := each(ctx, p, "alerts", query, p.Step, func(ctx context.Context, s span) ([]beats, error) {
		series, err := p.ask(ctx, query, s, p.Step)
		return beatsOf(series), err
	})
	if err != nil {
		return nil, err
	}
	var all []Episode
	for _, b := range together(chunks, p.Step) {
		all = append(all, p.episodesOf(b, quiet)...)
	}
	slices.SortStableFunc(all, func(a, b Episode) int { return a.From.Compare(b.From) })
	return all, nil
}

func (p *past) episodesOf(b beats, quiet []Silence) []Episode {
	labels := maps.Clone(p.ExternalLabels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, b.Labels)
	delete(labels, "alertstate")
	delete(labels, "__name__")
	var all []Episode
	var heard time.Time // when the last one was evaluated last
	for _, r := range b.Runs {
		from, to := time.UnixMilli(r.First).UTC(), time.UnixMilli(r.Last+r.Every).UTC()
		if last := len(all) - 1; last >= 0 && from.Sub(heard) <= resolvesAfter && silentAt(quiet, heard) {
			all[last].To = to // Prometheus was away for a moment; Alertmanager did not notice
		} else {
			all = append(all, Episode{Labels: labels, From: from, To: to})
		}
		if heard = to; silentAt(quiet, to) { // nobody told that it ended
			all[len(all)-1].To = to.Add(resolvesAfter)
		}
	}
	if n := len(all) - 1; n >= 0 && p.Until.Sub(heard) <= 2*p.Step {
		all[n].To = time.Time{}
	}
	return all
}

// silentAt says whether a silence begins about then.
func silentAt(quiet []Silence, at time.Time) bool {
	return slices.ContainsFunc(quiet, func(s Silence) bool { return s.From.Sub(at).Abs() <= 2*aliveStep })
}

// findStep looks at the hour in which the fewest alerts fire, sample by sample.
func (p *past) findStep(ctx context.Context, names []string) error {
	query := "count(count_over_time(" + selector(names) + "[1h]))"
	quietest, fewest := time.Time{}, 0.0
	for at := p.Since.Truncate(time.Hour); at.Before(p.Until.Add(time.Hour)); at = at.Add(maxPoints * time.Hour) {
		end := at.Add((maxPoints - 1) * time.Hour)
		if last := p.Until.Truncate(time.Hour).Add(time.Hour); end.After(last) {
			end = last
		}
		series, err := p.ask(ctx, query, span{at, end}, time.Hour)
		if err != nil {
			return &ReadError{"when alerts fired", at, end, err}
		}
		for _, s := range series {
			for _, point := range s.Points {
				if quietest.IsZero() || point.Value < fewest {
					quietest, fewest = point.At, point.Value
				}
			}
		}
	}
	if quietest.IsZero() {
		return nil
	}
	return p.stepAt(ctx, names, quietest)
}

// defaultStep is asked for where the data tell nothing: an alert of a single sample.
const defaultStep = 15 * time.Second

func (p *past) stepAt(ctx context.Context, names []string, at time.Time) error {
	hour := span{at.Add(-time.Hour), at}
	series, err := p.ask(ctx, "timestamp("+selector(names)+")", hour, time.Second)
	if err != nil {
		return &ReadError{"how often rules are evaluated", hour.From, hour.To, err}
	}
	least := int64(0)
	for _, b := range beatsOf(series) {
		for _, r := range b.Runs {
			least = leastOf(least, r.Every)
		}
	}
	p.Step = cmp.Or(time.Duration(least)*time.Millisecond, defaultStep).Round(time.Second)
	p.Step = max(p.Step, time.Second)
	return nil
}

// silent reads when nothing was recorded, and when the Watchdog was missed; known is false when there never was one.
func (p *past) silent(ctx context.Context) (quiet, unwatched []Silence, known bool, err error) {
	quiet, _, err = p.missing(ctx, "what was recorded", p.Alive)
	if err != nil {
		return nil, nil, false, err
	}
	unwatched, known, err = p.missing(ctx, "the Watchdog", `max(timestamp(ALERTS{alertstate="firing",alertname="`+watchdog+`"}))`)
	return quiet, unwatched, known, err
}

func (p *past) missing(ctx context.Context, what, query string) ([]Silence, bool, error) {
	chunks, err := each(ctx, p, what, query, aliveStep, func(ctx context.Context, s span) ([]beats, error) {
		series, err := p.ask(ctx, query, s, aliveStep)
		if err == nil && len(series) > 1 {
			err = fmt.Errorf("%s answered with %d series, not one", query, len(series))
		}
		return beatsOf(series), err
	})
	if err != nil {
		return nil, false, err
	}
	all := together(chunks, aliveStep)
	return silences(all, p.begin(aliveStep), p.Until, 5*aliveStep/2), len(all) > 0, nil
}

func labelText(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "%q=%q,", name, labels[name])
	}
	return b.String()
}
