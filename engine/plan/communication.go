package plan

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Communication is what is owed to someone, and by when.
type Communication struct {
	To     string
	Via    []Via
	Within time.Duration
	// If is the condition as written; empty owes always.
	If string

	condition *expr.Program
}

// Via is one channel of a communication.
type Via struct {
	Channel string

	entry actions.Entry
	with  *param
}

// Owed is one message that is owed now.
type Owed struct {
	To, Via string
	With    incident.Params
	// Updates says that the channel can follow the incident after the first message.
	Updates bool
	Within  time.Duration
}

func (b *Book) loadCommunications(files []*expr.File) {
	seen := map[string]bool{}
	for _, f := range files {
		for _, n := range f.Root().Map("communications").Get("communications").List() {
			c := b.readCommunication(n)
			if c.To != "" && seen[c.To] {
				n.Get("to").Report("name/twice", fmt.Sprintf("%q is told twice: write one entry with `via: {all: […]}`", c.To), "")
			}
			seen[c.To] = true
			b.communications = append(b.communications, c)
		}
	}
}

// ownKeys are the keys of a communication that are no parameters of its channels.
var ownKeys = []string{"to", "via", "within", "if"}

func (b *Book) readCommunication(n *expr.Node) Communication {
	c := Communication{To: n.Need("to").Identifier(), Within: n.Need("within").Duration(), If: n.Get("if").Str()}
	n = n.In("communication " + c.To)
	c.condition, _ = b.env.Compile(expr.Communication, n.Get("if"), expr.Bool)
	via := n.Need("via")
	entries := []*expr.Node{via}
	if via.IsMap() {
		entries = via.Map("all").Need("all").List()
	}
	for _, entry := range entries {
		if v, ok := b.readVia(entry); ok {
			c.Via = append(c.Via, v)
		}
	}
	b.readChannelParams(n, c)
	return c
}

func (b *Book) readVia(n *expr.Node) (Via, bool) {
	name := n.Str()
	entry, ok := b.registry.Channel(name)
	if ok || name == "" {
		return Via{Channel: name, entry: entry}, ok
	}
	if _, action := b.registry.Action(name); action {
		n.Report("ref/channel", name+" acts: it belongs in a procedure, never in a communication", expr.Near(name, b.registry.ChannelNames()))
		return Via{}, false
	}
	n.Report("ref/channel", fmt.Sprintf("there is no channel %q", name), expr.Near(name, b.registry.ChannelNames()))
	return Via{}, false
}

// readChannelParams gives each channel the parameters that it has; one that none of them has is a mistake.
func (b *Book) readChannelParams(n *expr.Node, c Communication) {
	bind := binding{env: b.env, scope: expr.Communication}
	known := slices.Clone(ownKeys)
	for i := range c.Via {
		v := &c.Via[i]
		t := reflect.TypeOf(v.entry.New()).Elem()
		names := fieldsOf(t).names
		known = append(known, names...)
		v.with = &param{node: n, typ: t, isMap: true}
		for _, e := range n.Entries() {
			key := e.Key.Name()
			if slices.Contains(names, key) && !slices.Contains(ownKeys, key) && e.Value.Exists() {
				inner, _ := child(t, key)
				v.with.keys = append(v.with.keys, key)
				v.with.items = append(v.with.items, bind.value(e.Value, inner, key))
			}
		}
	}
	if !n.Get("via").Exists() { // perhaps it is misspelt: any channel's parameters may stand here
		for _, name := range b.registry.ChannelNames() {
			entry, _ := b.registry.Channel(name)
			known = append(known, fieldsOf(reflect.TypeOf(entry.New()).Elem()).names...)
		}
	}
	if len(c.Via) > 0 || !n.Get("via").Exists() {
		n.Map(known...)
	}
}

// Communications are all that may be owed, in the order of the files.
func (b *Book) Communications() []Communication { return slices.Clone(b.communications) }

// Owed gives the messages whose conditions hold now. What could not be settled is told in the error, beside all that
// could.
func (b *Book) Owed(v expr.Vars) ([]Owed, error) {
	var owed []Owed
	var failed []error
	for _, c := range b.communications {
		holds, err := c.holds(v)
		if err != nil {
			failed = append(failed, fmt.Errorf("communication to %s: if: %w", c.To, err))
		}
		if !holds {
			continue
		}
		for _, via := range c.Via {
			o, err := c.owed(via, v)
			if err != nil {
				failed = append(failed, fmt.Errorf("communication to %s via %s: %w", c.To, via.Channel, err))
				continue
			}
			owed = append(owed, o)
		}
	}
	return owed, errors.Join(failed...)
}

func (c Communication) holds(v expr.Vars) (bool, error) {
	if c.condition == nil {
		return c.If == "", nil
	}
	return c.condition.EvalBool(v)
}

func (c Communication) owed(via Via, v expr.Vars) (Owed, error) {
	value, err := via.with.render(view{vars: v})
	if err != nil {
		return Owed{}, err
	}
	if _, err := build(via.entry, value); err != nil {
		return Owed{}, err
	}
	with, err := encode(value)
	return Owed{To: c.To, Via: via.Channel, With: with, Updates: via.entry.Updates, Within: c.Within}, err
}
