package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// fleet is the revisions of one workload, the newest first, and its pods.
type fleet struct {
	revisions []*revision
	pods      map[string][]*pod // by the template that they were made from
}

func (s *scene) fleetOf(w *workload) fleet {
	f := fleet{revisions: slices.Collect(maps.Values(s.revisions.of[w.uid])), pods: map[string][]*pod{}}
	slices.SortFunc(f.revisions, func(a, b *revision) int {
		return cmp.Or(cmp.Compare(b.number, a.number), b.created.Compare(a.created), cmp.Compare(a.uid, b.uid))
	})
	for _, r := range f.revisions {
		pods := s.pods.of[r.uid]
		if w.ref.Kind != "Deployment" {
			pods = s.pods.of[w.uid]
		}
		for _, p := range pods {
			// A StatefulSet's pods say the revision's name, a DaemonSet's the end of it.
			if w.ref.Kind == "Deployment" || p.hash == r.name || w.ref.Name+"-"+p.hash == r.name {
				f.pods[r.template.digest] = append(f.pods[r.template.digest], p)
			}
		}
	}
	return f
}

func (f fleet) podsOf(digest string) []*pod { return f.pods[digest] }

// goal is the newest revision with the workload's template, else the newest of all; seen says which.
func (f fleet) goal(w *workload) (goal *revision, seen bool) {
	for _, r := range f.revisions {
		if r.template.digest == w.template.digest {
			return r, true
		}
	}
	if len(f.revisions) == 0 {
		return nil, false
	}
	return f.revisions[0], false
}

// run is the unbroken row of revisions with the goal's template, newest first: restarts make such rows.
func (f fleet) run(goal *revision) []*revision {
	var row []*revision
	for _, r := range f.revisions[slices.Index(f.revisions, goal):] {
		if r.template.digest != goal.template.digest {
			break
		}
		row = append(row, r)
	}
	return row
}

// rolling says whether the goal's rollout goes on. What was rolled out and then loses pods, is scaled or is restarted
// does not roll.
func (f fleet) rolling(w *workload, goal *revision, run []*revision) bool {
	if goal != f.revisions[0] || f.othersServe(w, goal.template.digest) {
		return true
	}
	switch {
	case w.ref.Kind == "DaemonSet", w.onDelete, len(run) > 1:
		return false
	case w.ref.Kind == "StatefulSet":
		return w.observed < w.generation && w.updateRevision != goal.name || f.digestOf(w.currentRevision) != goal.template.digest
	case w.paused: // nothing else serves, so it is not a halted one
		return false
	case w.progress == "NewReplicaSetAvailable": // its controller says so once, and keeps it until the next template
		return w.observed < w.generation
	}
	return w.observed < w.generation || w.updated != w.wanted || w.replicas != w.wanted || w.ready != w.wanted
}

// othersServe says whether pods of another template are still there.
func (f fleet) othersServe(w *workload, digest string) bool {
	if w.ref.Kind == "Deployment" { // counted by its controller, so it fits the rest of its status
		return slices.ContainsFunc(f.revisions, func(r *revision) bool { return r.template.digest != digest && r.replicas > 0 })
	}
	for other, pods := range f.pods {
		if other != digest && len(pods) > 0 {
			return true
		}
	}
	return false
}

func (f fleet) digestOf(name string) string {
	for _, r := range f.revisions {
		if r.name == name {
			return r.template.digest
		}
	}
	return ""
}

func (f fleet) newestCreation() time.Time {
	var last time.Time
	for _, r := range f.revisions {
		last = latest(last, r.created)
	}
	return last
}

// first is when a template was first seen here.
func (f fleet) first(digest string) time.Time {
	var at time.Time
	for _, r := range f.revisions {
		if r.template.digest == digest && (at.IsZero() || r.created.Before(at)) {
			at = r.created
		}
	}
	return at
}

// began is when the goal's rollout began: its revision was made then. One that was there before is used again, so the
// rollout began after all others were made; while it goes on, when the template was written.
func (f fleet) began(w *workload, run []*revision, rolling bool) time.Time {
	at := run[len(run)-1].created
	for _, r := range f.revisions {
		if r.template.digest != run[0].template.digest && r.created.After(at) {
			at = r.created
			if rolling {
				at = latest(at, w.templateAt)
			}
		}
	}
	return at.UTC()
}

// ended is when the rollout ended. A Deployment's controller writes it down; it is no proof when the Deployment was
// paused, resumed or restarted since. For the others the newest pod's readiness has to do.
func (f fleet) ended(w *workload, goal *revision, run []*revision, r Running) (at time.Time, proven bool) {
	switch {
	case r.Rolling:
		return r.Release.Began, true
	case w.ref.Kind == "Deployment" && w.progress == "NewReplicaSetAvailable" && len(run) == 1:
		return latest(w.progressAt, r.Release.Began), !w.progressSince.After(r.Release.Began.Add(clockGrain))
	case w.ref.Kind == "Deployment" && len(run) > 1:
		return r.Release.Began, true
	}
	at = r.Release.Began
	for _, p := range f.podsOf(goal.template.digest) {
		if p.ready {
			at = latest(at, p.readyAt)
		}
	}
	return at.UTC(), false
}

// clockGrain covers that the API writes whole seconds, and that a first rollout's condition follows its ReplicaSet.
const clockGrain = 5 * time.Second

// past is what ran before, oldest first: one release a template. What was made after the present template and is older
// by number was left by going back to it: it is no way back.
func (f fleet) past(w *workload, now string) []Release {
	var all []Release
	since, known := f.first(now), map[string]bool{now: true}
	for _, r := range f.revisions {
		if known[r.template.digest] || !since.IsZero() && r.created.After(since) {
			continue
		}
		known[r.template.digest] = true
		was := describeRelease(w, r.template, r, f.podsOf(r.template.digest))
		was.Began = f.first(r.template.digest).UTC()
		was.At = was.Began
		all = append(all, was)
	}
	slices.Reverse(all)
	for n := 1; n < len(all); n++ { // one that was gone back to ran again after the one before it
		all[n].At = latest(all[n].At, all[n-1].At)
	}
	return all
}
