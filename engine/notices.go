package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
)

// performNotices goes through all that is owed now. Notices of one incident are told side by side: one provider that
// hangs delays no other (S32).
func (e *Engine) performNotices(ctx context.Context, inc incident.Incident) error {
	var group sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	var panicked any
	tell := group.Go
	if e.inTurn {
		tell = func(one func()) { one() }
	}
	for _, c := range incident.Decide(inc.At(e.now())) {
		if c.Lane() != incident.NoticeLane {
			continue
		}
		tell(func() {
			defer func() {
				if p := recover(); p != nil {
					mu.Lock()
					defer mu.Unlock()
					panicked = p
				}
			}()
			if err := e.performNotice(ctx, inc, c); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	group.Wait()
	if panicked != nil { // the dispatcher's own guard reports it, as it does for the procedure lane
		panic(panicked)
	}
	return errors.Join(errs...)
}

func (e *Engine) performNotice(ctx context.Context, inc incident.Incident, c incident.Command) error {
	switch c := c.(type) {
	case incident.Owe:
		return e.owe(ctx, inc, c)
	case incident.Send:
		return e.send(ctx, inc, c)
	case incident.CallOverdue:
		_, err := e.recordFor(ctx, inc.ID, c, facts(byAstern, incident.NoticeOverdue{ID: c.Notice}))
		e.metrics.overdue.Inc()
		return ignoreUnwished(err)
	}
	return nil
}

// atOnce is how long a notice that is owed immediately may take before it counts as overdue.
const atOnce = 30 * time.Second

// owe settles who must be told of the story so far. Conditions are asked at each chapter: an incident that turns
// critical later owes from then on.
func (e *Engine) owe(ctx context.Context, inc incident.Incident, c incident.Owe) error {
	f := incident.NoticesOwed{Story: c.Story}
	q, _, err := e.ask(ctx, inc, "")
	if err != nil {
		return err
	}
	if q.target != nil {
		if inc.Plan != nil {
			q.vars.Release.Current, q.vars.Release.Previous = exprRelease(inc.Plan.From), exprRelease(inc.Plan.To)
		}
		owed, err := q.cfg.Book.Owed(q.vars)
		if err != nil {
			e.log.Error("who is to be told cannot be settled in full", logIncident(inc.ID), logError(err))
			e.metrics.stuck.Inc()
		}
		for _, o := range owed {
			f.Notices = append(f.Notices, incident.NoticeOwed{
				ID: inc.ID + "/" + o.To + "/" + o.Via, To: o.To, Via: o.Via, With: o.With, Updates: o.Updates, Due: q.now.Add(max(o.Within, atOnce)),
			})
		}
	}
	f.Notices = append(f.Notices, escalations(inc, f.Notices, e.now())...)
	_, err = e.recordFor(ctx, inc.ID, c, facts(byAstern, f))
	return ignoreUnwished(err)
}

// escalations tell overdue notices by another provider: the first of pagerduty, slack, webhook that is owed elsewhere.
func escalations(inc incident.Incident, owed []incident.NoticeOwed, now time.Time) []incident.NoticeOwed {
	var out []incident.NoticeOwed
	for _, late := range inc.Notices {
		if late.OverdueAt.IsZero() || late.EscalationOf != "" {
			continue
		}
		for _, via := range []string{"pagerduty", "slack", "webhook"} {
			n := slices.IndexFunc(owed, func(o incident.NoticeOwed) bool { return o.Via == via && via != late.Via })
			if n < 0 {
				continue
			}
			o := owed[n]
			o.ID, o.EscalationOf, o.Due, o.Updates = late.ID+"/overdue", late.ID, now.Add(5*time.Minute), false
			out = append(out, o)
			break
		}
	}
	return out
}

// sendPatience is how long one telling may take.
const sendPatience = 15 * time.Second

// send tells one notice: intent, message, proof.
func (e *Engine) send(ctx context.Context, inc incident.Incident, c incident.Send) error {
	began := incident.NoticeBegan{ID: c.Notice, Story: c.Story, Attempt: c.Attempt}
	state, err := e.recordFor(ctx, inc.ID, c, facts(byAstern, began))
	if err != nil {
		return ignoreUnwished(err)
	}
	e.hook("notice-began")
	n, ok := noticeOf(state, c.Notice)
	if !ok {
		return nil
	}
	result, err := e.tell(ctx, state, n, c)
	e.hook("notice-sent")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var outcome incident.Fact = incident.NoticeTold{ID: c.Notice, Story: c.Story, Ref: result.Ref}
	if err != nil {
		outcome = e.noticeErred(c, n, err)
	}
	r := e.incidents.record(ctx, incidentStream(inc.ID), func(incident.Incident) (draft, error) {
		return facts(byAstern, outcome), nil
	})
	e.hook("notice-recorded")
	return r.err
}

// lostAfter is how long a message is tried before it is given up: who was to be told of it knows of its lateness.
const lostAfter = 24 * time.Hour

func (e *Engine) noticeErred(c incident.Send, n incident.Notice, err error) incident.Fact {
	pause := min(time.Duration(1)<<min(c.Attempt-1, 8)*2*time.Second, 5*time.Minute)
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) && asks.RetryAfter() > pause {
		pause = asks.RetryAfter()
	}
	e.metrics.noticeErrors.Inc()
	return incident.NoticeErred{
		ID: c.Notice, Story: c.Story, Error: err.Error(), RetryAt: e.now().Add(pause),
		Permanent: actions.IsPermanent(err) || e.now().Sub(n.BeganAt) > lostAfter,
	}
}

// tell lets the channel do it. A panic is a refusal for good, not a crash.
func (e *Engine) tell(ctx context.Context, inc incident.Incident, n incident.Notice, c incident.Send) (actions.Result, error) {
	cfg := e.config.Load()
	channel, err := cfg.Book.Channel(n.Via, n.With)
	if err != nil {
		return actions.Result{}, actions.Permanent(err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	env := actions.Env{
		Key: fmt.Sprintf("%s/%d", n.ID, c.Story), Incident: inc.ID, Target: inc.Target, Environment: inc.Environment,
		Attempt: c.Attempt, Now: e.now, Connect: connector(cfg, nil, ""), Progress: func(string) {},
		Notice: &actions.Notice{
			ID: n.ID, Delivery: fmt.Sprintf("%s/%d", n.ID, c.Story), First: n.Ref == "" && n.FirstAt.IsZero(), Ref: n.Ref,
			InDoubt: c.InDoubt, SentAfter: n.BeganAt, Message: e.message(cfg, inc, n, c.Story),
		},
	}
	return safely(func() (actions.Result, error) { return channel.Run(ctx, env) })
}

func noticeOf(inc incident.Incident, id string) (incident.Notice, bool) {
	for _, n := range inc.Notices {
		if n.ID == id {
			return n, true
		}
	}
	return incident.Notice{}, false
}
