package dispatch

import (
	"time"

	"astern.dev/astern/engine/incident"
)

// key is what is worked on one call at a time.
type key struct {
	stream string
	lane   incident.Lane
}

type state int

const (
	resting state = iota // nothing is wished
	waiting              // in times
	ready                // in the line of its lane
	running
)

// task is a stream and lane that someone wished work for. The dispatcher's lock guards it.
type task struct {
	key
	state  state
	index  int       // in times
	at     time.Time // the wish: of a waiting task, or of a running one for afterwards
	wished bool      // of a running task: there is one
	panics int       // in a row
	rested time.Time // after a panic: no call before then
}

// earliest is when the task may be called: its wish, but not while it rests.
func (t *task) earliest() time.Time {
	if t.at.Before(t.rested) {
		return t.rested
	}
	return t.at
}

// pause is how long the task rests after one more panic.
func (t *task) pause(o Options) time.Duration {
	pause := o.Pause
	for range t.panics {
		if pause *= 2; pause >= o.PauseLimit {
			return o.PauseLimit
		}
	}
	return min(pause, o.PauseLimit)
}

// settle notes how a call ended, and after a panic until when the task rests.
func (t *task) settle(next time.Time, panicked bool) {
	if panicked {
		t.panics, t.rested = t.panics+1, next
	} else {
		t.panics, t.rested = 0, time.Time{}
	}
}

// times is a heap of the waiting tasks, the earliest first.
type times []*task

func (h times) Len() int           { return len(h) }
func (h times) Less(i, j int) bool { return h[i].earliest().Before(h[j].earliest()) }
func (h times) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *times) Push(x any) {
	t := x.(*task)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *times) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}

// pool is the workers of one lane and the line in front of them. The dispatcher's lock guards it.
type pool struct {
	line    []*task
	workers int
}

func (l *Local) pool(lane incident.Lane) *pool {
	p := l.lanes[lane]
	if p == nil {
		p = &pool{}
		l.lanes[lane] = p
	}
	return p
}

// add puts a task in line, and begins a worker when there may be one more.
func (p *pool) add(l *Local, t *task) {
	p.line = append(p.line, t)
	if p.workers < l.opts.Workers {
		p.workers++
		go p.serve(l)
	}
}

// serve calls one task after another, and ends when the line is empty.
func (p *pool) serve(l *Local) {
	for {
		t := p.next(l)
		if t == nil {
			return
		}
		l.call(t)
	}
}

func (p *pool) next(l *Local) *task {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(p.line) == 0 || l.closed {
		p.workers--
		return nil
	}
	t := p.line[0]
	p.line[0] = nil
	p.line = p.line[1:]
	t.state = running
	l.running[t] = struct{}{}
	return t
}
