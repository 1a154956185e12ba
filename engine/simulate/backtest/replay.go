package backtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/simulate"
	"astern.dev/astern/rules"
)

// Configuration is what is tried on the past.
type Configuration struct {
	Registry *actions.Registry
	Rules    *rules.Set
	Book     *plan.Book
	// Guards are the installation's, TeamGuards each team's.
	Guards     incident.Guards
	TeamGuards map[string]incident.Guards
	// Sender is whose alerts they pass for: `alert.source`. Empty is "alertmanager".
	Sender string
	Digest string
}

// settings let every rule only watch: nothing is led, so that nothing that would have been done changes what follows.
func (c *Configuration) settings() engine.Settings {
	s := engine.Settings{DefaultMode: incident.Observe, Guards: c.Guards, TeamGuards: c.TeamGuards}
	if c.Sender != "" {
		s.SenderConnections = map[string]string{c.Sender: ""}
	}
	return s
}

// History is the past as it is let happen once more.
type History struct {
	Since, Until time.Time
	Step         time.Duration
	Episodes     []Episode
	Releases     []Release
	// Silences are when Prometheus recorded nothing.
	Silences []Silence

	begin     time.Time
	long      int                 // episodes that were followed for a while only
	early     int                 // episodes that had begun before Since
	unwatched []Silence           // when the Watchdog was missed
	moves     []incident.MoveBack // by people
	words     []Word
	past      *past
}

// replay lets the history happen in a world with a configuration, and says what became of each alert.
func (h *History) replay(ctx context.Context, c *Configuration) (_ *outcome, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	server, err := newForward(h.past, stop)
	if err != nil {
		return nil, err
	}
	w, err := simulate.New(ctx, simulate.Options{
		Registry: c.Registry, Rules: c.Rules, Book: c.Book, Settings: c.settings(), Digest: c.Digest, Start: h.begin, Prometheus: server,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	o := &outcome{history: h, config: c, server: server, source: w.Source(), became: map[episodeKey][]incident.Decision{}}
	h.schedule(w, o)
	if err := w.Run(ctx, h.Until); err != nil {
		return nil, cmp.Or(context.Cause(ctx), err) // that a run was ended says less than why
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return o, o.collect(ctx, w.Engine())
}

// Replaying is what progress is told of while the past happens once more.
const Replaying = "replay"

// schedule puts on the agenda what happened.
func (h *History) schedule(w *simulate.World, o *outcome) {
	w.Watchdog(true)
	for _, s := range h.unwatched {
		w.At(s.From, func(context.Context) error { w.Watchdog(false); return nil })
		w.At(s.To, func(context.Context) error { w.Watchdog(true); return nil })
	}
	for _, r := range h.Releases {
		w.At(later(r.At, h.begin), func(ctx context.Context) error {
			_, known := o.config.Book.Target(r.Target)
			if !known {
				return nil
			}
			if err := w.Engine().RecordRelease(ctx, engine.Person{Name: r.By}, r.Target, r.Release); err != nil {
				return fmt.Errorf("record release %s of %s: %w", r.Version, r.Target, err)
			}
			return nil
		})
	}
	for n, e := range h.Episodes {
		w.At(e.From, func(ctx context.Context) error {
			h.past.Progress(Replaying, n+1, len(h.Episodes))
			got, err := w.Deliver(ctx, notification(w, e, "firing"))
			o.became[keyOf(w.Source(), e)] = got.Decisions
			if o.config.keepsAsking(got.Decisions) {
				w.Alertmanager().Set(e.Labels, nil, e.From)
			}
			return err
		})
		if end, ends := h.followed(e); ends {
			w.At(end, func(ctx context.Context) error {
				w.Alertmanager().Remove(e.Labels)
				e.To = end
				_, err := w.Deliver(ctx, notification(w, e, "resolved"))
				return err
			})
		}
	}
}

// followed is until when an alert is followed: to its end, or for as long as is worth while.
func (h *History) followed(e Episode) (end time.Time, ends bool) {
	limit := e.From.Add(h.past.Follow)
	switch {
	case !e.To.IsZero() && !e.To.After(limit):
		return e.To, true
	case limit.Before(h.Until):
		return limit, true
	}
	return e.To, !e.To.IsZero()
}

// keepsAsking says whether a rule took an alert up that asks for its evidence again and again: a rule that confirms nothing
// live acts only on what Alertmanager said in the last minutes (S6). For the others the live confirmation decides, and
// they need not hear each minute of the past that the alert fires.
func (c *Configuration) keepsAsking(decisions []incident.Decision) bool {
	return slices.ContainsFunc(decisions, func(d incident.Decision) bool {
		rule, ok := c.Rules.Rule(d.Rule)
		return ok && rule.Confirm.Waived != ""
	})
}

// notification is what Alertmanager would have sent of one alert.
func notification(w *simulate.World, e Episode, status string) engine.Notification {
	a := incident.Alert{Status: status, Labels: e.Labels, StartsAt: e.From}
	if status == "resolved" {
		a.EndsAt = e.To
	}
	return engine.Notification{Source: w.Source(), Receiver: simulate.Receiver, Status: status, GroupKey: "{}", Alerts: []engine.Delivered{{Alert: a}}}
}

// episodeKey names an episode: the alert's identity and when it began.
type episodeKey struct {
	alert string
	from  int64
}

func keyOf(source string, e Episode) episodeKey {
	return episodeKey{engine.AlertID(source, e.Labels), e.From.UnixMilli()}
}

// movesBack are the moves back that people made: production's own reading of what was told.
func (h *History) movesBack() []incident.MoveBack {
	histories := map[string]incident.TargetHistory{}
	var all []incident.MoveBack
	for n, r := range h.Releases {
		t := incident.ApplyTarget(histories[r.Target], incident.Event{Version: n + 1, At: r.At, By: r.By, Fact: incident.ReleaseRecorded{Release: r.Release}})
		if len(t.Backs) > 0 {
			back := t.Backs[len(t.Backs)-1]
			back.Target, t.Backs = r.Target, nil
			all = append(all, back)
		}
		histories[r.Target] = t
	}
	slices.SortStableFunc(all, func(a, b incident.MoveBack) int { return strings.Compare(a.Target, b.Target) })
	slices.SortStableFunc(all, func(a, b incident.MoveBack) int { return a.At.Compare(b.At) })
	return all
}
