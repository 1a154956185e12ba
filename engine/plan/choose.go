package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrNoTarget: the labels choose no target, or more than one. Nothing is acted on.
var ErrNoTarget = errors.New("no single target")

// selectors finds targets by labels: each target stands under one label and value of its `select`.
type selectors map[string]map[string][]*Target

func newSelectors(targets []*Target) selectors {
	s := selectors{}
	for _, t := range targets {
		if len(t.Select) == 0 {
			continue
		}
		label := slices.Min(slices.Collect(maps.Keys(t.Select)))
		if s[label] == nil {
			s[label] = map[string][]*Target{}
		}
		s[label][t.Select[label]] = append(s[label][t.Select[label]], t)
	}
	return s
}

// Choose gives the one target whose `select` the labels meet. None or several is an error wrapping ErrNoTarget that
// says which.
func (b *Book) Choose(labels map[string]string) (*Target, error) {
	var chosen []*Target
	for label, byValue := range b.bySelect {
		value, has := labels[label]
		if !has {
			continue
		}
		for _, t := range byValue[value] {
			if t.selects(labels) {
				chosen = append(chosen, t)
			}
		}
	}
	switch len(chosen) {
	case 1:
		return chosen[0], nil
	case 0:
		return nil, fmt.Errorf("%w: no target's select matches these labels", ErrNoTarget)
	}
	names := make([]string, len(chosen))
	for i, t := range chosen {
		names[i] = t.Name
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%w: %d targets match these labels: %s", ErrNoTarget, len(chosen), strings.Join(names, ", "))
}

// selects is for targets with a selector: an empty one would select everything.
func (t *Target) selects(labels map[string]string) bool {
	for label, value := range t.Select {
		if have, ok := labels[label]; !ok || have != value {
			return false
		}
	}
	return true
}
