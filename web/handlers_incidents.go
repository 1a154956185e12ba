package web

import (
	"context"
	"math"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

func (s *Server) incidents(ctx context.Context, c call) (List[incident.Head], error) {
	f := incident.HeadFilter{Target: c.query.Get("target")}
	var err error
	if f.Open, err = c.flag("open"); err != nil {
		return List[incident.Head]{}, err
	}
	if f.Ended, err = c.flag("ended"); err != nil {
		return List[incident.Head]{}, err
	}
	if f.Limit, err = c.number("limit", 100, 10_000); err != nil {
		return List[incident.Head]{}, err
	}
	heads, err := s.engine.Incidents(ctx, f)
	return list("IncidentList", heads), err
}

func (s *Server) incident(ctx context.Context, c call) (IncidentAnswer, error) {
	id := c.params["id"]
	if !c.query.Has("wait") {
		i, events, err := s.engine.Incident(ctx, id)
		return s.incidentAnswer(i, events, err)
	}
	seen, err := c.number("wait", 0, math.MaxInt32)
	if err != nil {
		return IncidentAnswer{}, err
	}
	return s.await(ctx, id, seen)
}

// await answers as soon as the incident has more facts than were seen, and otherwise with what is so after a while or
// when the server stops. It watches before it reads, so that nothing falls between.
func (s *Server) await(ctx context.Context, id string, seen int) (IncidentAnswer, error) {
	enough := time.NewTimer(s.pollFor)
	defer enough.Stop()
	for waited := false; ; {
		changed, forget := s.engine.Watch(id)
		i, events, err := s.engine.Incident(ctx, id)
		if err != nil || i.Version > seen || waited {
			forget()
			return s.incidentAnswer(i, events, err)
		}
		select {
		case <-changed:
		case <-enough.C:
			waited = true
		case <-s.drained:
			waited = true
		case <-ctx.Done():
			waited = true
		}
		forget()
	}
}

func (s *Server) incidentAnswer(i incident.Incident, events []incident.Event, err error) (IncidentAnswer, error) {
	if err != nil {
		return IncidentAnswer{}, err
	}
	a := IncidentAnswer{Header: header("Incident"), Incident: i, Events: make([]Event, len(events)), Progress: s.engine.Progress(i.ID)}
	for n, e := range events {
		fact, err := incident.EncodeFact(e.Fact)
		if err != nil {
			return IncidentAnswer{}, err
		}
		a.Events[n] = Event{e.Version, e.Type, e.Schema, e.At, e.By, e.Config, fact, e.Hash}
	}
	return a, nil
}

func (s *Server) approve(ctx context.Context, p engine.Person, c call, in ApproveRequest) (Done, error) {
	if len(in.Plan) < 6 {
		return Done{}, malformedAt("/plan", "name the plan by at least the first 6 characters of its hash")
	}
	if err := words("comment", in.Comment, false); err != nil {
		return Done{}, err
	}
	return done("approved"), s.engine.Approve(ctx, p, c.params["id"], in.Plan, in.Comment)
}

func (s *Server) reject(ctx context.Context, p engine.Person, c call, in ReasonRequest) (Done, error) {
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("rejected"), s.engine.Reject(ctx, p, c.params["id"], in.Reason)
}

func (s *Server) abort(ctx context.Context, p engine.Person, c call, in ReasonRequest) (Done, error) {
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("aborted: it stops before its next step"), s.engine.Abort(ctx, p, c.params["id"], in.Reason)
}

func (s *Server) settle(ctx context.Context, p engine.Person, c call, in SettleRequest) (Done, error) {
	if in.Settlement != engine.ItHappened && in.Settlement != engine.ItDidNot {
		return Done{}, malformedAt("/settlement", "%s is neither %q nor %q", quote(string(in.Settlement)), engine.ItHappened, engine.ItDidNot)
	}
	if err := words("step", in.Step, true); err != nil {
		return Done{}, err
	}
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("settled"), s.engine.Settle(ctx, p, c.params["id"], in.Step, in.Settlement, in.Reason)
}

func (s *Server) mark(ctx context.Context, p engine.Person, c call, in MarkRequest) (Done, error) {
	if in.Mark != string(incident.Right) && in.Mark != string(incident.Wrong) {
		return Done{}, malformedAt("/mark", "%s is neither %q nor %q", quote(in.Mark), incident.Right, incident.Wrong)
	}
	if err := words("rule", in.Rule, false); err != nil {
		return Done{}, err
	}
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	rule, err := s.engine.MarkWouldAct(ctx, p, c.params["id"], in.Rule, in.Mark == string(incident.Right), in.Reason)
	return done(rule + " is marked " + in.Mark), err
}

func (s *Server) plan(ctx context.Context, c call) (PlanAnswer, error) {
	preview, err := s.engine.Preview(ctx, c.params["target"])
	return PlanAnswer{header("Plan"), preview}, err
}

func (s *Server) rollback(ctx context.Context, p engine.Person, _ call, in RollbackRequest) (RollbackAnswer, error) {
	if err := words("target", in.Target, true); err != nil {
		return RollbackAnswer{}, err
	}
	if err := words("reason", in.Reason, true); err != nil {
		return RollbackAnswer{}, err
	}
	if in.Plan != "" && len(in.Plan) < 6 {
		return RollbackAnswer{}, malformedAt("/plan", "name the plan by at least the first 6 characters of its hash")
	}
	id, err := s.engine.Rollback(ctx, p, in.Target, in.Reason, in.Plan)
	return RollbackAnswer{header("Rollback"), id}, err
}
