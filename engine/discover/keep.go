package discover

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine"
)

// mourned is how long it is said that a target is gone or has another name.
const mourned = time.Hour

type farewell struct {
	text  string
	until time.Time
}

// discover reads what annotations name and tells of it when it, or what is wrong with it, has changed.
func (s *site) discover(ctx context.Context) {
	if s.options.Found == nil {
		return
	}
	before := Found{Entries: s.entries()}
	found, all := s.read()
	if !all {
		return // what was known stays in force until everything was read
	}
	found = s.keep(ctx, before, found.settle(before.Entries))
	s.mu.Lock()
	same := !s.first && reflect.DeepEqual(found, s.found)
	s.found, s.first = found, false
	s.mu.Unlock()
	if !same && ctx.Err() == nil {
		s.options.Found(ctx, s.Name, found)
	}
}

// read reads each place. One that cannot be read keeps the targets that it had; all says that none is still to come.
func (s *site) read() (f Found, all bool) {
	before := s.entries()
	for _, p := range s.places() {
		v := s.views[p.Namespace]
		if v == nil { // named a moment ago
			return f, false
		}
		marked, err := v.Marked(Annotation)
		switch {
		case errors.Is(err, cluster.ErrNotRead):
			return f, false
		case err != nil:
			f.Entries = append(f.Entries, in(p, before)...)
			f.Problems = append(f.Problems, fmt.Sprintf("namespace %s cannot be read, its targets stay as they were: %v", p.Namespace, err))
			continue
		}
		here := Read(s.Name, p, marked)
		f.Entries, f.Problems = append(f.Entries, here.Entries...), append(f.Problems, here.Problems...)
	}
	return f, true
}

func in(p Place, entries []Entry) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Place() != p })
}

// keep says which targets are gone, have another name, or are on another object. One with an open incident stays as it was
// until that is closed: it must be able to end, on the object that it began on.
func (s *site) keep(ctx context.Context, before, found Found) Found {
	now := s.options.Now()
	for _, was := range before.Entries {
		n := slices.IndexFunc(found.Entries, func(e Entry) bool { return e.Name == was.Name })
		if n >= 0 && found.Entries[n].Workload == was.Workload {
			delete(s.gone, was.Name)
			continue
		}
		why := farewellTo(was, found)
		if incident := s.openOn(ctx, was.Name); incident != "" {
			if n >= 0 {
				found.Entries = slices.Delete(found.Entries, n, n+1)
			}
			found.Entries = append(found.Entries, was)
			found.Problems = append(found.Problems, why+"; it stays the target that it was until "+incident+" is closed")
			continue
		}
		s.options.Log.Warn("a discovered target is gone", zap.String("cluster", s.Name), zap.String("reason", why))
		if !found.faults(was.Workload) { // else that says it
			s.gone[was.Name] = farewell{why, now.Add(mourned)}
		}
	}
	for name, f := range s.gone {
		if !now.Before(f.until) {
			delete(s.gone, name)
			continue
		}
		found.Problems = append(found.Problems, f.text)
	}
	slices.SortFunc(found.Entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(found.Problems)
	return found
}

// openOn is the open incident of a target, in words where it cannot be asked for.
func (s *site) openOn(ctx context.Context, target string) string {
	known, err := s.options.Engine.Target(ctx, target)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return ""
	case err != nil:
		return "its incident"
	}
	return known.Incident
}

func farewellTo(was Entry, found Found) string {
	for _, e := range found.Entries {
		switch {
		case e.UID == was.UID && e.Name != was.Name:
			return fmt.Sprintf("the target %s is now named %s: %s says so, and its history does not go with it", was.Name, e.Name, was.Workload)
		case e.Name == was.Name:
			return fmt.Sprintf("the target %s is %s now, before it was %s", was.Name, e.Workload, was.Workload)
		}
	}
	return fmt.Sprintf("the target %s is gone: %s no longer names it", was.Name, was.Workload)
}
