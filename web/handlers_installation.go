package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

func (s *Server) stop(ctx context.Context, p engine.Person, _ call, in ScopeRequest) (Done, error) {
	scope, err := scopeOf(in.Scope)
	if err != nil {
		return Done{}, err
	}
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("stopped: " + scope), s.engine.Stop(ctx, p, scope, in.Reason)
}

func (s *Server) resume(ctx context.Context, p engine.Person, _ call, in ScopeRequest) (Done, error) {
	scope, err := scopeOf(in.Scope)
	if err != nil {
		return Done{}, err
	}
	if err := words("reason", in.Reason, false); err != nil {
		return Done{}, err
	}
	return done("resumed: " + scope), s.engine.Resume(ctx, p, scope, in.Reason)
}

// scopeOf reads what a stop covers: a scope that nothing reads would look like a stop and be none.
func scopeOf(scope string) (string, error) {
	switch kind, name, _ := strings.Cut(scope, "/"); {
	case scope == "", scope == "all":
		return "all", nil
	case (kind == "team" || kind == "target") && name != "" && len(name) <= wordsLimit:
		return scope, nil
	}
	return "", malformedAt("/scope", "%s is none of all, team/NAME, target/NAME", quote(scope))
}

func (s *Server) arm(ctx context.Context, p engine.Person, _ call, in ReasonRequest) (Done, error) {
	if err := words("reason", in.Reason, false); err != nil {
		return Done{}, err
	}
	return done("armed"), s.engine.Arm(ctx, p, in.Reason)
}

func (s *Server) disarm(ctx context.Context, p engine.Person, _ call, in ReasonRequest) (Done, error) {
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("disarmed"), s.engine.Disarm(ctx, p, in.Reason)
}

func (s *Server) releaseMassEvent(ctx context.Context, p engine.Person, _ call, in ReasonRequest) (Done, error) {
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("released"), s.engine.ReleaseMassEvent(ctx, p, in.Reason)
}

func (s *Server) rules(ctx context.Context, _ call) (RuleList, error) {
	report, err := s.engine.Rules(ctx)
	if err != nil {
		return RuleList{}, err
	}
	items := list("RuleList", report.Rules)
	return RuleList{items.Header, items.Items, report.Since, list("", report.Missed).Items}, nil
}

func (s *Server) waiveRule(ctx context.Context, p engine.Person, c call, in ReasonRequest) (Done, error) {
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("waived"), s.engine.WaiveRule(ctx, p, c.params["name"], in.Reason)
}

func (s *Server) resetFlapping(ctx context.Context, p engine.Person, c call, in ResetRequest) (Done, error) {
	if err := words("reason", in.Reason, true); err != nil {
		return Done{}, err
	}
	return done("reset"), s.engine.ResetFlapping(ctx, p, c.params["name"], in.Target, in.Reason)
}

func (s *Server) deliveries(ctx context.Context, c call) (List[incident.Delivery], error) {
	limit, err := c.number("limit", 100, 10_000)
	if err != nil {
		return List[incident.Delivery]{}, err
	}
	lines, err := s.engine.Deliveries(ctx, limit)
	return list("DeliveryList", lines), err
}

func (s *Server) status(ctx context.Context, _ call) (StatusAnswer, error) {
	status, err := s.engine.Status(ctx)
	return StatusAnswer{header("Status"), status}, err
}

// reload answers 422 with every mistake when the configuration is not good; the last good one stays in force.
func (s *Server) reload(ctx context.Context, p engine.Person, _ call, _ struct{}) (Done, error) {
	s.log.Info("reload asked for", zap.String("by", p.Name))
	if err := s.options.Reload(ctx); err != nil {
		return Done{}, problem(http.StatusUnprocessableEntity, "refused", "the last good configuration stays in force", "%s", err)
	}
	return done("reloaded"), nil
}

// ready is about taking notifications in. A reload that failed is told here and no reason to send them elsewhere: the
// last good configuration is in force.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	err := engine.ErrDraining
	if !s.draining() {
		err = s.engine.Ready(ctx)
	}
	if err != nil {
		text(w, http.StatusServiceUnavailable, "astern is not ready: "+err.Error()+"\n")
		return
	}
	body := "astern is ready\n"
	if status, err := s.engine.Status(ctx); err == nil && status.ReloadError != "" {
		body += "\nthe last reload failed; the configuration before it is in force:\n" + status.ReloadError + "\n"
	}
	text(w, http.StatusOK, body)
}
