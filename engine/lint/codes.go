package lint

import (
	"slices"
	"strings"
)

// Code is one kind of mistake that `astern check` tells, with what a person needs to know of it.
type Code struct {
	// Name is stable: scripts and comments name it.
	Name     string
	Severity Severity
	// Meaning is one sentence; Example shows the mistake, Mend what to do.
	Meaning, Example, Mend string
	// Needs is what it is held against, beside astern's own files; empty for nothing.
	Needs Need
}

// Severity is how bad it is.
type Severity string

// An error must be mended before the files can be used. A warning can be ignored, with a reason. An info is worth knowing.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Need is a kind of file that a check is held against.
type Need string

// What must be given for a check to be made.
const (
	NeedsPrometheus   Need = "prometheus-rules"
	NeedsAlertmanager Need = "alertmanager"
	NeedsConfig       Need = "astern.yaml"
)

// Codes are all codes there are, sorted by name.
func Codes() []Code {
	all := slices.Concat(formCodes(), expressionCodes(), planCodes(), configCodes(), ruleCodes(), adviceCodes(), routeCodes(), ignoreCodes())
	slices.SortFunc(all, func(a, b Code) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Find gives a code by its name.
func Find(name string) (Code, bool) {
	all := Codes()
	i, found := slices.BinarySearchFunc(all, name, func(c Code, name string) int { return strings.Compare(c.Name, name) })
	if !found {
		return Code{}, false
	}
	return all[i], true
}

func severityOf(name string) Severity {
	c, found := Find(name)
	if !found {
		return Error
	}
	return c.Severity
}

// Names are the names of all codes.
func Names() []string {
	all := Codes()
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	return names
}

func mistake(name, meaning, example, mend string) Code {
	return Code{Name: name, Severity: Error, Meaning: meaning, Example: example, Mend: mend}
}

func advice(name string, needs Need, meaning, example, mend string) Code {
	return Code{Name: name, Severity: Warning, Meaning: meaning, Example: example, Mend: mend, Needs: needs}
}
