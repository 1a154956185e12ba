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
	found = s.keep(ctx, before, found.settle())
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

// keep says which targets are gone or have another name. One with an open incident stays until that is closed: it must be
// able to end.
func (s *site) keep(ctx context.Context, before, found Found) Found {
	now := s.options.Now()
	for _, e := range found.Entries {
		delete(s.gone, e.Name)
	}
	for _, was := range before.Entries {
		if slices.ContainsFunc(found.Entries, func(e Entry) bool { return e.Name == was.Name }) {
			continue
		}
		why := farewellTo(was, found)
		known, err := s.options.Engine.Target(ctx, was.Name)
		if err != nil && !errors.Is(err, engine.ErrNotFound) || known.Incident != "" {
			found.Entries = append(found.Entries, was)
			found.Problems = append(found.Problems, why+"; it stays a target until "+incidentOr(known.Incident)+" is closed")
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

func farewellTo(was Entry, found Found) string {
	if n := slices.IndexFunc(found.Entries, func(e Entry) bool { return e.UID == was.UID }); n >= 0 {
		return fmt.Sprintf("the target %s is now named %s: %s says so, and its history does not go with it", was.Name, found.Entries[n].Name, was.Workload)
	}
	return fmt.Sprintf("the target %s is gone: %s no longer names it", was.Name, was.Workload)
}

func incidentOr(id string) string {
	if id == "" {
		return "its incident"
	}
	return id
}
