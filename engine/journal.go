package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
)

// draft is what a recorder wishes to add to a history. An empty draft adds nothing.
type draft struct {
	by      string
	facts   []incident.Fact
	take    []incident.Claim
	release []string
	fence   *incident.Fence
	line    *incident.Delivery // of the ledger: durable with the facts, or alone where there are none
}

// with adds the ledger line that a notification's last draft carries, if it is that.
func (d draft) with(line closing, decided []incident.Decision) draft {
	if line != nil {
		d.line = line(decided)
	}
	return d
}

func (d draft) empty() bool { return len(d.facts) == 0 && len(d.release) == 0 && d.line == nil }

func facts(by string, f ...incident.Fact) draft { return draft{by: by, facts: f} }

// recorded is what came of a draft: the state after it, and the tokens of the claims it took.
type recorded[S any] struct {
	state  S
	tokens map[string]int64
	err    error
}

// journal is the only door to the histories of one kind: load, apply, decide, append. Recorders of one stream that wait
// while a commit is under way go into the next one together, each seeing the state the one before it left.
type journal[S any] struct {
	store   Store
	apply   func(S, incident.Event) S
	replay  func([]incident.Event) S
	version func(S) int
	head    func(S) *incident.Head // nil for streams that no list shows
	after   func(stream string, s S, events []incident.Event)
	now     func() time.Time
	config  func() string
	hook    func(point string)
	live    func(S) bool // nil: all are
	keep    int          // closed streams kept in memory

	mu      sync.Mutex
	streams map[string]*stream[S]
	idle    []string // closed streams in memory, oldest first
}

type stream[S any] struct {
	mu      sync.Mutex
	loaded  bool
	state   S
	waiting []*wish[S]
	busy    bool
}

type wish[S any] struct {
	draft    func(S) (draft, error)
	done     chan recorded[S]
	answered bool // touched by the draining goroutine alone
}

func (w *wish[S]) answer(r recorded[S]) {
	if !w.answered {
		w.answered = true
		w.done <- r
	}
}

func (j *journal[S]) stream(name string) *stream[S] {
	j.mu.Lock()
	defer j.mu.Unlock()
	st, known := j.streams[name]
	if !known {
		st = &stream[S]{}
		j.streams[name] = st
	}
	return st
}

// Load is the state of a stream; an unknown stream is the zero state.
func (j *journal[S]) load(ctx context.Context, name string) (S, error) {
	st := j.stream(name)
	st.mu.Lock()
	if st.loaded {
		defer st.mu.Unlock()
		return st.state, nil
	}
	st.mu.Unlock()
	r := j.record(ctx, name, func(S) (draft, error) { return draft{}, nil })
	return r.state, r.err
}

// record asks for a draft against the newest state and stores it. The draft function may be called several times and
// must not have effects. A ClaimedError means that nothing was stored.
func (j *journal[S]) record(ctx context.Context, name string, ask func(S) (draft, error)) recorded[S] {
	w := &wish[S]{draft: ask, done: make(chan recorded[S], 1)}
	st := j.stream(name)
	st.mu.Lock()
	st.waiting = append(st.waiting, w)
	lead := !st.busy
	st.busy = true
	st.mu.Unlock()
	if lead {
		go j.drain(name, st)
	}
	select {
	case r := <-w.done:
		return r
	case <-ctx.Done():
		return recorded[S]{err: fmt.Errorf("record in %s: %w: %w", name, incident.ErrUnavailable, ctx.Err())}
	}
}

// drain commits what waits, batch after batch, until nothing does.
func (j *journal[S]) drain(name string, st *stream[S]) {
	for {
		st.mu.Lock()
		batch := st.waiting
		st.waiting = nil
		if len(batch) == 0 {
			st.busy = false
			st.mu.Unlock()
			return
		}
		st.mu.Unlock()
		for len(batch) > 0 {
			batch = j.commit(name, st, batch)
		}
	}
}

const commitPatience = 20 * time.Second

// commit stores the drafts of the first wishes that fit in one write and gives back the rest. A draft with claims or a
// fence is written alone, so that its refusal refuses nobody else.
func (j *journal[S]) commit(name string, st *stream[S], batch []*wish[S]) (rest []*wish[S]) {
	ctx, cancel := context.WithTimeout(context.Background(), commitPatience)
	defer cancel()
	for tries := 0; ; tries++ {
		state, fresh, err := j.current(ctx, name, st)
		if fresh && j.live != nil && !j.live(state) {
			j.retire(name) // looked up once: it must not stay for ever
		}
		if err != nil {
			answer(batch, recorded[S]{err: err})
			return nil
		}
		taken, write, next := j.gather(name, state, batch)
		if len(write.Events) == 0 && len(write.Release) == 0 && len(write.Lines) == 0 {
			return batch[taken:]
		}
		j.hook("append")
		stored, err := j.store.Append(ctx, write)
		j.hook("appended")
		if errors.Is(err, incident.ErrConflict) && tries < 5 {
			j.forget(st)
			continue
		}
		if err != nil {
			answer(batch[:taken], recorded[S]{state: state, err: fmt.Errorf("append to %s after %d: %w", name, write.After, err)})
			return batch[taken:]
		}
		if len(stored.Events) > 0 || len(write.Release) > 0 {
			j.settle(name, st, next, stored.Events)
		}
		answer(batch[:taken], recorded[S]{state: next, tokens: stored.Tokens})
		return batch[taken:]
	}
}

// gather asks the wishes for their drafts, each against the state the one before it leaves. Wishes that want nothing
// or fail are answered here.
func (j *journal[S]) gather(name string, state S, batch []*wish[S]) (taken int, write incident.Append, next S) {
	write = incident.Append{Stream: name, After: j.version(state)}
	next = state
	now, config := j.now(), j.config()
	for _, w := range batch {
		if w.answered {
			taken++
			continue
		}
		d, err := w.draft(next)
		if err != nil || d.empty() {
			if err == nil && len(write.Events)+len(write.Lines) > 0 {
				taken++ // answered with the others: what it saw is not durable before them
				continue
			}
			w.answer(recorded[S]{state: next, err: err})
			taken++
			continue
		}
		alone := len(d.take) > 0 || len(d.release) > 0 || d.fence != nil
		if alone && len(write.Events)+len(write.Lines) > 0 {
			break
		}
		for _, f := range d.facts {
			e := incident.NewEvent(now, d.by, config, f)
			e.Version = write.After + len(write.Events) + 1
			write.Events = append(write.Events, e)
			next = j.apply(next, e)
		}
		if d.line != nil {
			write.Lines = append(write.Lines, *d.line)
		}
		taken++
		if alone {
			write.Take, write.Release, write.Fence = d.take, d.release, d.fence
			break
		}
	}
	if j.head != nil && len(write.Events) > 0 {
		write.Head = j.head(next)
	}
	return taken, write, next
}

func answer[S any](batch []*wish[S], r recorded[S]) {
	for _, w := range batch {
		w.answer(r)
	}
}

// current is the newest state that is known; fresh says that it was read just now.
func (j *journal[S]) current(ctx context.Context, name string, st *stream[S]) (state S, fresh bool, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.loaded {
		return st.state, false, nil
	}
	events, err := j.store.Load(ctx, name)
	if err != nil {
		return state, true, fmt.Errorf("load %s: %w", name, err)
	}
	st.state, st.loaded = j.replay(events), true
	return st.state, true, nil
}

func (j *journal[S]) forget(st *stream[S]) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.loaded = false
}

func (j *journal[S]) settle(name string, st *stream[S], next S, events []incident.Event) {
	st.mu.Lock()
	st.state, st.loaded = next, true
	st.mu.Unlock()
	if j.after != nil {
		j.after(name, next, events)
	}
}

// retire tells the journal that nothing is to be done for a stream: only the last few such stay in memory.
func (j *journal[S]) retire(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.idle = append(j.idle, name)
	for len(j.idle) > j.keep {
		oldest := j.idle[0]
		j.idle = j.idle[1:]
		if st := j.streams[oldest]; st != nil && j.rests(st) {
			delete(j.streams, oldest)
		}
	}
}

// rests says whether nobody waits for the stream and nothing is to be done for it.
func (j *journal[S]) rests(st *stream[S]) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return !st.busy && len(st.waiting) == 0 && (j.live == nil || !j.live(st.state))
}
