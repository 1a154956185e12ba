package discover

import "fmt"

// Refused is a target that was left out, and why.
type Refused struct {
	Entry Entry
	Why   string
}

func (r Refused) String() string {
	return fmt.Sprintf("%s is not taken as the target %s: %s", r.Entry.Workload, r.Entry.Name, r.Why)
}

// Mistake is what a check of the configuration has against it. Entry is the target that it blames; below 0 when it blames
// something else.
type Mistake struct {
	Entry int
	Text  string
}

// Accept finds the targets with which a configuration is without mistakes, and says of each other why it is left out. Those
// in force come first: a newcomer that does not go together with one of them is the one that is left out. Without any
// discovered target the configuration must have no mistake.
func Accept(inForce, newcomers []Entry, check func([]Entry) []Mistake) (taken []Entry, refused []Refused) {
	a := accepting{check: check}
	a.add(inForce)
	a.add(newcomers)
	return a.taken, a.refused
}

type accepting struct {
	check   func([]Entry) []Mistake
	taken   []Entry
	refused []Refused
}

// add takes what it can. Those that are blamed are left out; where none of them is, halves are tried on their own.
func (a *accepting) add(some []Entry) {
	for len(some) > 0 {
		mistakes := a.check(append(a.taken[:len(a.taken):len(a.taken)], some...))
		if len(mistakes) == 0 {
			a.taken = append(a.taken, some...)
			return
		}
		if len(some) == 1 {
			a.refused = append(a.refused, Refused{some[0], mistakes[0].Text})
			return
		}
		left := a.without(some, mistakes)
		if len(left) == len(some) {
			a.add(some[:len(some)/2])
			a.add(some[len(some)/2:])
			return
		}
		some = left
	}
}

func (a *accepting) without(some []Entry, mistakes []Mistake) []Entry {
	blamed := map[int]string{}
	for _, m := range mistakes {
		if n := m.Entry - len(a.taken); n >= 0 && n < len(some) && blamed[n] == "" {
			blamed[n] = m.Text
		}
	}
	var left []Entry
	for n, e := range some {
		if why, is := blamed[n]; is {
			a.refused = append(a.refused, Refused{e, why})
			continue
		}
		left = append(left, e)
	}
	return left
}
