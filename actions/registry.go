package actions

import (
	"fmt"
	"maps"
	"slices"
)

// Registry holds the actions and the kinds of connection that configuration may name. It is built once and only read.
type Registry struct {
	actions  map[string]Entry
	channels map[string]Entry
	kinds    map[string]func() Connection
}

// Entry is one registered action.
type Entry struct {
	New func() Action
	// Channel says that only notices may use it; Updates that it can follow an incident after the first message.
	Channel, Updates bool
	// Example is a step (or a communication) as a user would write it, in YAML.
	Example string

	around func(Action) Action
}

// Made is what is to be used of an action that was read and validated: the action itself, or what Around puts it into.
func (e Entry) Made(a Action) Action {
	if e.around == nil {
		return a
	}
	return e.around(a)
}

// Family is what one package registers.
type Family struct {
	Actions []Entry
	// Kind names the connection the family uses; empty when it uses none.
	Kind string
	// NewConnection gives an empty configuration of the kind.
	NewConnection func() Connection
}

// NewRegistry gathers families. Two actions of one name, or two kinds, are an error.
func NewRegistry(families ...Family) (*Registry, error) {
	r := &Registry{map[string]Entry{}, map[string]Entry{}, map[string]func() Connection{}}
	for _, f := range families {
		for _, entry := range f.Actions {
			into := r.actions
			if entry.Channel {
				into = r.channels
			}
			name := entry.New().Name()
			if _, twice := into[name]; twice {
				return nil, fmt.Errorf("action %s is registered twice", name)
			}
			into[name] = entry
		}
		if f.Kind == "" {
			continue
		}
		if _, twice := r.kinds[f.Kind]; twice {
			return nil, fmt.Errorf("connection kind %s is registered twice", f.Kind)
		}
		r.kinds[f.Kind] = f.NewConnection
	}
	return r, nil
}

// Action finds an action that steps may use.
func (r *Registry) Action(name string) (Entry, bool) { e, ok := r.actions[name]; return e, ok }

// Channel finds an action that notices may use.
func (r *Registry) Channel(name string) (Entry, bool) { e, ok := r.channels[name]; return e, ok }

// Connection finds a kind of connection.
func (r *Registry) Connection(kind string) (func() Connection, bool) {
	n, ok := r.kinds[kind]
	return n, ok
}

// ActionNames, ChannelNames and Kinds are sorted.
func (r *Registry) ActionNames() []string  { return slices.Sorted(maps.Keys(r.actions)) }
func (r *Registry) ChannelNames() []string { return slices.Sorted(maps.Keys(r.channels)) }
func (r *Registry) Kinds() []string        { return slices.Sorted(maps.Keys(r.kinds)) }

// Around gives a registry that reads and checks the same actions and channels, and hands each one out inside of what wrap
// makes of it: whoever runs an engine without the world says there what a step comes to.
func (r *Registry) Around(wrap func(Action) Action) *Registry {
	wrapped := func(entries map[string]Entry) map[string]Entry {
		all := make(map[string]Entry, len(entries))
		for name, e := range entries {
			e.around = wrap
			all[name] = e
		}
		return all
	}
	return &Registry{wrapped(r.actions), wrapped(r.channels), r.kinds}
}
