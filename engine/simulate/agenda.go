package simulate

import (
	"container/heap"
	"time"
)

// The order of what falls due in one moment: what the outside world does comes before what astern does about it.
type turn int

const (
	outside turn = iota // an act of the test: an alert, a person, a crash
	waking              // a simulated step that ends
	working             // a lane of an incident that is to be looked at
)

// due is one thing that happens at a time.
type due struct {
	at   time.Time
	turn turn
	seq  int // what was put down first comes first
	do   func()
	key  task // of working
}

// agenda is a heap of what is to come.
type agenda struct {
	all []*due
	seq int
}

func (a *agenda) Len() int { return len(a.all) }
func (a *agenda) Less(i, j int) bool {
	x, y := a.all[i], a.all[j]
	switch {
	case !x.at.Equal(y.at):
		return x.at.Before(y.at)
	case x.turn != y.turn:
		return x.turn < y.turn
	case x.key != y.key: // the same order in each run, whoever woke first
		return x.key.before(y.key)
	}
	return x.seq < y.seq
}
func (a *agenda) Swap(i, j int) { a.all[i], a.all[j] = a.all[j], a.all[i] }
func (a *agenda) Push(x any)    { a.all = append(a.all, x.(*due)) }
func (a *agenda) Pop() any {
	last := len(a.all) - 1
	d := a.all[last]
	a.all = a.all[:last]
	return d
}

func (a *agenda) put(d *due) {
	a.seq++
	d.seq = a.seq
	heap.Push(a, d)
}

// next takes what comes first, when it comes not after until.
func (a *agenda) next(until time.Time) (*due, bool) {
	if len(a.all) == 0 || a.all[0].at.After(until) {
		return nil, false
	}
	return heap.Pop(a).(*due), true
}

// soonest is when the first thing comes.
func (a *agenda) soonest() (time.Time, bool) {
	if len(a.all) == 0 {
		return time.Time{}, false
	}
	return a.all[0].at, true
}
