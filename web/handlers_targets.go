package web

import (
	"context"
	"errors"
	"slices"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

func (s *Server) targets(ctx context.Context, _ call) (List[engine.TargetStatus], error) {
	targets, err := s.engine.Targets(ctx)
	return list("TargetList", targets), err
}

func (s *Server) target(ctx context.Context, c call) (TargetAnswer, error) {
	t, err := s.engine.Target(ctx, c.params["name"])
	return TargetAnswer{header("Target"), t}, err
}

func (s *Server) hold(ctx context.Context, p engine.Person, c call, in HoldRequest) (Done, error) {
	if err := words("reason", in.Reason, !in.Lift); err != nil {
		return Done{}, err
	}
	if in.Lift {
		return done("lifted"), s.engine.Hold(ctx, p, c.params["name"], in.Reason, 0)
	}
	length, err := time.ParseDuration(in.For)
	if err != nil || length <= 0 {
		return Done{}, malformedAt("/for", "%s is not a duration such as 1h30m", quote(in.For))
	}
	return done("held for " + length.String()), s.engine.Hold(ctx, p, c.params["name"], in.Reason, length)
}

func (s *Server) releases(ctx context.Context, c call) (List[Release], error) {
	names := []string{c.query.Get("target")}
	if names[0] == "" {
		targets, err := s.engine.Targets(ctx)
		if err != nil {
			return List[Release]{}, err
		}
		names = nil
		for _, t := range targets {
			names = append(names, t.Name)
		}
	}
	var all []Release
	for _, name := range names {
		t, err := s.engine.Target(ctx, name)
		if err != nil {
			return List[Release]{}, err
		}
		for i, r := range slices.Backward(t.Releases) {
			all = append(all, Release{t.Name, i == len(t.Releases)-1, r})
		}
	}
	return list("ReleaseList", all), nil
}

func (s *Server) recordRelease(ctx context.Context, p engine.Person, _ call, in ReleaseRequest) (Done, error) {
	r, err := in.release(p)
	if err != nil {
		return Done{}, err
	}
	return done("recorded"), s.engine.RecordRelease(ctx, p, in.Target, r)
}

func (s *Server) beginRelease(ctx context.Context, p engine.Person, _ call, in ReleaseRequest) (Done, error) {
	r, err := in.release(p)
	if err != nil {
		return Done{}, err
	}
	return done("began"), s.engine.BeginRelease(ctx, p, in.Target, r)
}

func (in ReleaseRequest) release(p engine.Person) (incident.Release, error) {
	if err := words("target", in.Target, true); err != nil {
		return incident.Release{}, err
	}
	if err := words("version", in.Version, true); err != nil {
		return incident.Release{}, err
	}
	if in.Verdict != "" {
		if err := standing(in.Verdict); err != nil {
			return incident.Release{}, err
		}
	}
	for field, text := range map[string]string{"commit": in.Commit, "digest": in.Digest, "reason": in.Reason, "schema": in.Schema} {
		if err := words(field, text, false); err != nil {
			return incident.Release{}, err
		}
	}
	return incident.Release{Version: in.Version, Commit: in.Commit, Digest: in.Digest, At: in.At.UTC(), Verdict: in.Verdict,
		Reason: in.Reason, Schema: in.Schema, Vars: in.Vars, By: p.Name}, nil
}

func (s *Server) releaseAllowed(ctx context.Context, c call) (AllowedAnswer, error) {
	a := AllowedAnswer{Header: header("ReleaseAllowed"), Target: c.query.Get("target"), Version: c.query.Get("version"), Digest: c.query.Get("digest"), Allowed: true}
	if a.Version == "" && a.Digest == "" {
		return a, malformedAt("/version", "name a version or a digest")
	}
	err := s.engine.ReleaseAllowed(ctx, a.Target, incident.Release{Version: a.Version, Digest: a.Digest})
	var no *engine.RefusedError
	if errors.As(err, &no) {
		a.Allowed, a.Reason, err = false, no.Reason, nil
	}
	return a, err
}

func (s *Server) judgeRelease(ctx context.Context, p engine.Person, _ call, in JudgeRequest) (Done, error) {
	if err := words("target", in.Target, true); err != nil {
		return Done{}, err
	}
	if err := words("version", in.Version, true); err != nil {
		return Done{}, err
	}
	if err := standing(in.Verdict); err != nil {
		return Done{}, err
	}
	if err := words("reason", in.Reason, in.Verdict == incident.Denied); err != nil {
		return Done{}, err
	}
	if in.Verdict == incident.Denied {
		return done("denied: nothing rolls back to it"), s.engine.DenyRelease(ctx, p, in.Target, in.Version, in.Reason)
	}
	return done("judged " + string(in.Verdict)), s.engine.JudgeRelease(ctx, p, in.Target, in.Version, in.Verdict, in.Reason)
}

func standing(v incident.Standing) error {
	switch v {
	case incident.Good, incident.Bad, incident.Denied, incident.Unknown:
		return nil
	}
	return malformedAt("/verdict", "%s is none of good, bad, denied, unknown", quote(string(v)))
}
