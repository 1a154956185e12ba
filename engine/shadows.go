package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
)

// shadows keeps what the incidents of the last month say of their rules. The histories are the truth; they are read once,
// when somebody asks first, and followed fact by fact from then on. Who stores a fact pays a map write.
type shadows struct {
	reading sync.Mutex // one reader at a time; the store is never read under mu

	mu     sync.Mutex
	cases  map[string]incident.Shadow // by incident
	unread map[string]bool            // incidents whose history must be read
	whole  bool                       // the incidents from before the start were looked for
	change int                        // counts what changed, targets' histories too
	kept   *scores
}

// scores are the scores of all rules at one moment.
type scores struct {
	of      map[string]incident.Score
	matched map[string]matches
	missed  []incident.MoveBack
	change  int
	at      time.Time
}

// matches is how often and when a rule matched last; each incident counts once.
type matches struct {
	count int
	last  time.Time
}

// scoresLive is how long scores stand when nothing changes: only the edge of the window moves.
const scoresLive = time.Minute

// follow takes in the newest facts of an incident; a gap before them is left to the next reader.
func (s *shadows) follow(id string, events []incident.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change++
	for _, e := range events {
		known := s.cases[id]
		if e.Version != known.Version+1 {
			s.forget(id)
			return
		}
		s.put(id, incident.ApplyShadow(known, e))
	}
}

// forget and put are called under the lock.
func (s *shadows) forget(id string) {
	if s.unread == nil {
		s.unread = map[string]bool{}
	}
	delete(s.cases, id)
	s.unread[id] = true
}

func (s *shadows) put(id string, c incident.Shadow) {
	if s.cases == nil {
		s.cases = map[string]incident.Shadow{}
	}
	if s.cases[id].Version <= c.Version {
		s.cases[id] = c
	}
}

// prune forgets what no score asks for any more: it must not take that somebody asks for one.
func (s *shadows) prune(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.cases, func(_ string, c incident.Shadow) bool { return c.At.Before(before) })
}

// moved notes that a target's history changed.
func (s *shadows) moved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change++
}

// scores gives every rule's score. The first call after a start reads the histories of a month, about 0.2 ms for each
// incident; then it is microseconds while nothing changes, and under a millisecond for a thousand incidents when something did.
func (e *Engine) scores(ctx context.Context) (*scores, error) {
	s := &e.shadows
	s.reading.Lock()
	defer s.reading.Unlock()
	since := e.now().Add(-incident.ScoreWindow)
	if err := e.readShadows(ctx, since); err != nil {
		return nil, err
	}
	s.mu.Lock()
	change, kept := s.change, s.kept
	fresh := kept != nil && kept.change == change && e.now().Sub(kept.at) < scoresLive
	var cases []incident.Shadow
	if !fresh {
		maps.DeleteFunc(s.cases, func(_ string, c incident.Shadow) bool { return c.At.Before(since) })
		cases = slices.Collect(maps.Values(s.cases))
	}
	s.mu.Unlock()
	if fresh {
		return kept, nil
	}
	now, err := e.rate(ctx, cases, since)
	if err != nil {
		return nil, err
	}
	now.change = change
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = now
	return now, nil
}

// readShadows reads the histories that are not known yet.
func (e *Engine) readShadows(ctx context.Context, since time.Time) error {
	s := &e.shadows
	s.mu.Lock()
	whole := s.whole
	s.mu.Unlock()
	if !whole {
		heads, err := e.store.Heads(ctx, incident.HeadFilter{Limit: 1 << 20})
		if err != nil {
			return err
		}
		s.mu.Lock()
		for _, h := range heads {
			if _, known := s.cases[h.ID]; !known && !h.UpdatedAt.Before(since) {
				s.forget(h.ID)
			}
		}
		s.whole = true
		s.mu.Unlock()
	}
	for id, more := s.nextUnread(); more; id, more = s.nextUnread() {
		if err := e.readShadow(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// nextUnread takes one from the list before it is read: what comes while it is read puts it there again.
func (s *shadows) nextUnread() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.unread {
		delete(s.unread, id)
		return id, true
	}
	return "", false
}

func (e *Engine) readShadow(ctx context.Context, id string) error {
	s := &e.shadows
	events, err := e.store.Load(ctx, incidentStream(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, incident.ErrCompacted): // forgotten by retention: it counts no more
		return nil
	case err != nil:
		s.forget(id)
		return err
	}
	var c incident.Shadow
	for _, ev := range events {
		c = incident.ApplyShadow(c, ev)
	}
	s.put(id, c)
	s.change++
	return nil
}

// rate scores what the cases and the targets' histories hold since a time.
func (e *Engine) rate(ctx context.Context, cases []incident.Shadow, since time.Time) (*scores, error) {
	now := &scores{matched: map[string]matches{}, at: e.now()}
	slices.SortFunc(cases, func(a, b incident.Shadow) int { return a.At.Compare(b.At) })
	var acts []incident.WouldAct
	var moves []incident.MoveBack
	targets := map[string]bool{}
	for _, t := range e.config.Load().Book.Targets() {
		targets[t.Name] = true
	}
	for _, c := range cases {
		targets[c.Target] = true
		acts, moves = append(acts, c.Acts...), append(moves, c.Moves...)
		for rule, m := range c.Matched {
			now.match(rule, m, since)
		}
	}
	for _, target := range sortedKeys(targets) {
		history, err := e.targets.load(ctx, targetStream(target))
		if err != nil {
			return nil, err
		}
		for _, m := range history.Backs {
			m.Target = target
			moves = append(moves, m)
		}
	}
	acts = slices.DeleteFunc(acts, func(a incident.WouldAct) bool { return a.At.Before(since) })
	now.of = incident.RateRules(acts, moves)
	now.missed = slices.DeleteFunc(incident.Missed(acts, moves), func(m incident.MoveBack) bool { return m.At.Before(since) })
	return now, nil
}

func (s *scores) match(rule string, m incident.Matched, since time.Time) {
	if m.Last.Before(since) {
		return
	}
	known := s.matched[rule]
	known.count++
	if m.Last.After(known.last) {
		known.last = m.Last
	}
	s.matched[rule] = known
}
