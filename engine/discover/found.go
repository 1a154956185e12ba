package discover

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine/plan"
)

// Annotation is what names a target on a workload or a Service. Beside it may stand, under astern.dev/: class, procedure,
// team, environment (it must be the one that astern.yaml says), select ("service=api,environment=production") and
// vars.NAME.
const Annotation = "astern.dev/target"

const (
	prefix = "astern.dev/"
	// maxEntries bounds what one cluster may name, maxValue what one annotation may say.
	maxEntries, maxValue, maxVars = 1000, 512, 32
)

// Found is what the annotations of a cluster name, and what is wrong with them, line by line.
type Found struct {
	Entries  []Entry
	Problems []string
}

// Entry is one target as an annotation names it.
type Entry struct {
	Name        string            `json:"name"`
	Class       string            `json:"class,omitempty"`
	Procedure   string            `json:"procedure,omitempty"`
	Environment string            `json:"environment"`
	Owner       *owner            `json:"owner,omitempty"`
	Select      map[string]string `json:"select,omitempty"`
	Connections map[string]string `json:"connections"`
	Workload    workload          `json:"workload"`
	Vars        map[string]string `json:"vars,omitempty"`

	// UID is that of the object: another one of the same name is another object (S18).
	UID     string    `json:"-"`
	created time.Time // the older of two objects keeps a name
}

// Site is the cluster that the object lies in.
func (e Entry) Site() string { return e.Connections["kubernetes"] }

// Place is where it lies.
func (e Entry) Place() Place { return Place{e.Workload.Namespace, e.Environment} }

// Same says whether two entries are the same target on the same object.
func (e Entry) Same(other Entry) bool {
	e.created = other.created
	return reflect.DeepEqual(e, other)
}

type owner struct {
	Team string `json:"team"`
}

type workload struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (w workload) String() string { return plan.Workload(w).String() }

var (
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	labelForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	varForm   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

const noTarget = " is no target: "

// faults says whether something is wrong with what an object names.
func (f Found) faults(w workload) bool {
	return slices.ContainsFunc(f.Problems, func(p string) bool { return strings.HasPrefix(p, w.String()+noTarget) })
}

// Read reads the annotations of one place. What is wrong with one object leaves that one out.
func Read(site string, p Place, marked []cluster.Marked) Found {
	var f Found
	for _, m := range marked {
		e, err := entry(site, p, m)
		if err != nil {
			f.Problems = append(f.Problems, fmt.Sprintf("%s%s%v", m.Ref, noTarget, err))
			continue
		}
		f.Entries = append(f.Entries, e)
	}
	return f
}

func entry(site string, p Place, m cluster.Marked) (Entry, error) {
	e := Entry{Environment: p.Environment, Connections: map[string]string{"kubernetes": site}, UID: m.UID, created: m.Created,
		Workload: workload{m.Ref.Kind, m.Ref.Namespace, m.Ref.Name}}
	team := ""
	for key, into := range map[string]*string{"target": &e.Name, "class": &e.Class, "procedure": &e.Procedure, "team": &team} {
		value, written := m.Annotations[prefix+key]
		if written && !nameForm.MatchString(value) {
			return e, fmt.Errorf("the annotation %s%s is not a name: use letters, digits, '.', '_' and '-'", prefix, key)
		}
		*into = value
	}
	if team != "" {
		e.Owner = &owner{team}
	}
	if said, written := m.Annotations[prefix+"environment"]; written && said != p.Environment {
		return e, fmt.Errorf("the annotation %senvironment says %.80q, and astern.yaml says that namespace %s is %s", prefix, said, p.Namespace, p.Environment)
	}
	var err error
	if e.Select, err = labels(m.Annotations[prefix+"select"]); err != nil {
		return e, err
	}
	e.Vars, err = vars(m.Annotations)
	return e, err
}

// labels reads "service=api,environment=production".
func labels(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		_, twice := all[name]
		if !labelForm.MatchString(name) || !plain(value) || value == "" || twice {
			return nil, fmt.Errorf("the annotation %sselect is not of the form service=api,environment=production", prefix)
		}
		all[name] = value
	}
	return all, nil
}

func vars(annotations map[string]string) (map[string]string, error) {
	var all map[string]string
	for key, value := range annotations {
		name, is := strings.CutPrefix(key, prefix+"vars.")
		switch {
		case !is:
			continue
		case !varForm.MatchString(name):
			return nil, fmt.Errorf("the annotation %.80s names no var: use a-z, 0-9 and _, beginning with a letter", key)
		case !plain(value):
			return nil, fmt.Errorf("the annotation %s is not one plain line of %d characters at most, without ${", key, maxValue)
		case all == nil:
			all = map[string]string{}
		}
		all[name] = value
	}
	if len(all) > maxVars {
		return nil, fmt.Errorf("it has more than %d vars", maxVars)
	}
	return all, nil
}

// plain says that a text can stand in a target file as it is.
func plain(text string) bool {
	return len(text) <= maxValue && !strings.Contains(text, "${") && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// settle gives each name to one object. The Deployments behind a Service may name its target to say that they are its
// sides. Else who had the name keeps it, and where nobody had it the older object gets it: nobody takes a target away by
// naming it again.
func (f Found) settle(before []Entry) Found {
	type side struct{ name, namespace string }
	fronts := map[side]bool{}
	for _, e := range f.Entries {
		if e.Workload.Kind == "Service" {
			fronts[side{e.Name, e.Workload.Namespace}] = true
		}
	}
	all := slices.DeleteFunc(slices.Clone(f.Entries), func(e Entry) bool {
		return e.Workload.Kind != "Service" && fronts[side{e.Name, e.Workload.Namespace}]
	})
	newcomer := func(e Entry) int {
		if slices.ContainsFunc(before, func(was Entry) bool { return was.Name == e.Name && was.Workload == e.Workload }) {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(newcomer(a), newcomer(b)), a.created.Compare(b.created), strings.Compare(a.UID, b.UID))
	})
	var kept []Entry
	problems := slices.Clone(f.Problems)
	for _, e := range all {
		if last := len(kept) - 1; last >= 0 && kept[last].Name == e.Name {
			problems = append(problems, fmt.Sprintf("%s%s%s is %s already", e.Workload, noTarget, e.Name, kept[last].Workload))
			continue
		}
		kept = append(kept, e)
	}
	if len(kept) > maxEntries {
		problems = append(problems, fmt.Sprintf("%d targets are named; those after the first %d are left out", len(kept), maxEntries))
		kept = kept[:maxEntries]
	}
	slices.Sort(problems)
	return Found{kept, problems}
}
