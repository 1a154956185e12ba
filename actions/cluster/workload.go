package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Running is what a cluster shows of one workload now.
type Running struct {
	// UID is that of the object that was asked for.
	UID string
	// Workload is what runs: the object itself, or the Deployment behind a Service.
	Workload Ref
	// Version changes with every write to the objects that were asked for.
	Version string
	// Release is what runs; when Rolling, what is being rolled out.
	Release Release
	// Rolling says that its rollout goes on, was halted, or that other templates still serve beside it.
	Rolling bool
	// Past is what ran before as far as the cluster still knows, oldest first. What was left by going back is not in it.
	Past []Release
}

// Release is one version of a workload as the cluster shows it.
type Release struct {
	// Version is the annotation astern.dev/version, else the label app.kubernetes.io/version of the pod template, else the
	// tag of the main container's image, else the beginning of the template's digest.
	Version string
	// Commit is the annotation astern.dev/commit, else org.opencontainers.image.revision, else what Argo CD, Flux or Helm say.
	Commit string
	// Digest is that of the main container's image: pinned in the template, else what all its pods run.
	Digest string
	// Vars hold template (its digest), revision, workload, and for a Service its selector.
	Vars map[string]string
	// Began is when its rollout began, or the latest time that is certainly not after that.
	Began time.Time
	// At is when its rollout ended, as well as that can be told; Began when it goes on.
	At time.Time
	// Proven says that At was read; else it is a guess that may lie too late.
	Proven bool
}

// ErrAbsent is wrapped when the workload is not there, or a Service picks nothing.
var ErrAbsent = errors.New("is not there")

// the kinds that are read to tell what a workload runs.
var readKinds = map[string][]string{
	"Deployment":  {"Deployment", "ReplicaSet", "Pod"},
	"StatefulSet": {"StatefulSet", "ControllerRevision", "Pod"},
	"DaemonSet":   {"DaemonSet", "ControllerRevision", "Pod"},
	"Service":     {"Service", "Deployment", "ReplicaSet", "Pod"},
}

// ReadKinds are the kinds that are read to tell what a workload of the kind runs.
func ReadKinds(kind string) []string { return slices.Clone(readKinds[kind]) }

// Running reads what a workload runs, as it is now.
func (c *Cluster) Running(ctx context.Context, ref Ref) (Running, error) {
	if len(readKinds[ref.Kind]) == 0 {
		return Running{}, fmt.Errorf("%s: what runs is read of a Deployment, StatefulSet, DaemonSet or Service", ref)
	}
	s := newScene()
	for _, kind := range readKinds[ref.Kind] {
		objects, err := c.List(ctx, kind, ref.Namespace, "")
		if err != nil {
			return Running{}, fmt.Errorf("read what %s runs: %w", ref, err)
		}
		for i := range objects {
			s.put(kind, &objects[i])
		}
	}
	running, err := s.running(ref)
	if err != nil {
		return Running{}, err
	}
	c.Enrich(ctx, &running)
	return running, nil
}

// running tells what a workload runs from what is in the scene.
func (s *scene) running(ref Ref) (Running, error) {
	if ref.Kind == "Service" {
		return s.behind(ref)
	}
	for _, w := range s.workloads {
		if w.ref == ref {
			return s.of(w), nil
		}
	}
	return Running{}, fmt.Errorf("%s %w", ref, ErrAbsent)
}

// of tells what one workload runs. The revision with its present template is what is meant to run; while a Deployment is
// paused and has none yet, the newest is.
func (s *scene) of(w *workload) Running {
	f := s.fleetOf(w)
	r := Running{UID: w.uid, Workload: w.ref, Version: w.version}
	goal, seen := f.goal(w)
	if !seen && (!w.paused || goal == nil) { // its controller has not acted on the template yet
		r.Rolling, r.Release = true, describeRelease(w, w.template, nil, nil)
		r.Release.Began = latest(w.templateAt, f.newestCreation())
		r.Release.At = r.Release.Began
		r.Past = f.past(w, w.template.digest)
		return r
	}
	run := f.run(goal)
	r.Release = describeRelease(w, goal.template, goal, f.podsOf(goal.template.digest))
	r.Rolling = f.rolling(w, goal, run)
	r.Release.Began = f.began(w, run, r.Rolling)
	r.Release.At, r.Release.Proven = f.ended(w, goal, run, r)
	r.Past = f.past(w, goal.template.digest)
	return r
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
