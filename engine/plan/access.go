package plan

import (
	"cmp"
	"reflect"
	"slices"

	"astern.dev/astern/actions"
	"astern.dev/astern/rules/expr"
)

// Right is what one step of one plan needs at a Kubernetes API, as far as it is known before an alert.
type Right struct {
	Target, Procedure, Step, Uses string
	// Connection of kind kubernetes that the step or its target chooses; empty when neither does. A step's own may be of
	// another kind: then OfTarget counts.
	Connection, OfTarget string
	// Access has an empty Name and Namespace where they are unknown.
	Access actions.Access
	// AnyName and AnyNamespace say that they are known only when there is an alert or a release; AnyKind that not even the
	// resource is.
	AnyName, AnyNamespace, AnyKind bool
}

// Place is a namespace whose annotations may name targets.
type Place struct{ Connection, Namespace string }

// Rights are what all plans need that rules can reach, and what targets may be discovered in places could need.
func (b *Book) Rights(rules []RuleRef, places []Place) []Right {
	var all []Right
	c := &checking{book: b, done: map[planned]bool{}, each: func(t *Target, p *Procedure) { all = append(all, rights(t, t, p)...) }}
	c.reach(rules)
	for _, place := range places {
		for _, kind := range WorkloadKinds() {
			for _, p := range b.procedures {
				if one, other := place.target(kind, words[0]), place.target(kind, words[1]); p.fits(one) {
					all = append(all, rights(one, other, p)...)
				}
			}
		}
	}
	return all
}

// words stand for what is not known: where a right differs with the word, it is not known there.
var words = [2]string{"unknown-a", "unknown-b"}

// target is any target of a kind that annotations could name.
func (p Place) target(kind, word string) *Target {
	return &Target{Name: word, Workload: &Workload{kind, p.Namespace, word}, Connections: map[string]string{"kubernetes": p.Connection}}
}

// rights are those of a procedure's steps; one and other are the target with either word.
func rights(one, other *Target, p *Procedure) []Right {
	var all []Right
	for _, s := range p.Steps {
		of := Right{Procedure: p.Name, Step: s.Name, Uses: s.Uses, Connection: cmp.Or(s.Connection, one.Connections["kubernetes"]), OfTarget: one.Connections["kubernetes"]}
		if one == other {
			of.Target = one.Name
		}
		these, known := s.access(one, words[0])
		those, _ := s.access(other, words[1])
		if !known || len(these) != len(those) { // even how many rights it needs hangs on something unknown
			of.AnyKind = true
			all = append(all, of)
			continue
		}
		for i, a := range these {
			r := of
			r.Access, r.AnyName, r.AnyNamespace = a, a.Name != those[i].Name, a.Namespace != those[i].Namespace
			r.AnyKind = a.Resource != those[i].Resource || a.Group != those[i].Group
			all = append(all, r.blanked())
		}
	}
	return all
}

func (r Right) blanked() Right {
	if r.AnyName {
		r.Access.Name = ""
	}
	if r.AnyNamespace {
		r.Access.Namespace = ""
	}
	r.Access.Verbs = slices.Clone(r.Access.Verbs)
	return r
}

// fits says whether the procedure could be for such a target: that no step refuses what is known of it.
func (p *Procedure) fits(t *Target) bool {
	for _, s := range p.Steps {
		if s.with == nil {
			continue
		}
		o, action, err := s.guessed(t, words[0])
		if err != nil {
			continue
		}
		for _, wrong := range lines(action.Validate()) {
			if !o.aboutGuess(s.with, wrong) {
				return false
			}
		}
	}
	return true
}

// access is what the step needs for a target, with a word for each text that is not known; known is false when its
// parameters take no such word.
func (s *Step) access(t *Target, word string) (needs []actions.Access, known bool) {
	if s.with == nil {
		return nil, true
	}
	_, action, err := s.guessed(t, word)
	if err != nil {
		_, can := s.entry.New().(actions.Accessor)
		return nil, !can
	}
	if accessor, can := action.(actions.Accessor); can {
		needs = accessor.Access()
	}
	return needs, true
}

// guessed is the step's action for a target, with a word for each text that is not known.
func (s *Step) guessed(t *Target, word string) (*offline, actions.Action, error) {
	action := s.entry.New()
	o := &offline{view: view{vars: expr.Vars{Target: t.ExprTarget()}, offline: true}, word: word, lenient: true}
	return o, action, fill(reflect.ValueOf(action).Elem(), unquote(o.value(s.with)), "")
}
