package incident

import (
	"maps"
	"time"
)

// Installation is what a person said about the whole of it: armed or not, stopped or not.
type Installation struct {
	Version int `json:"version"`
	// ID names the installation and its history to others that share a target with it (S3).
	ID    string          `json:"id,omitempty"`
	Armed *Word           `json:"armed,omitempty"`
	Stops map[string]Word `json:"stops,omitempty"` // by scope: "all", "team/NAME", "target/NAME"
	// Mass is the mass event that holds everything until a person releases it; none is called before MassReleasedUntil (S8).
	Mass              *Mass     `json:"mass,omitempty"`
	MassReleasedUntil time.Time `json:"mass_released_until,omitzero"`
	// Rules is what was in force of each rule, by name; thousands of rules have no place in a status.
	Rules map[string]RuleHistory `json:"-"`
}

// Mass is a mass event.
type Mass struct {
	Incident string    `json:"incident"`
	Targets  []string  `json:"targets"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// Word is who said something, when and why.
type Word struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// ApplyInstallation is the installation with one more fact. It is total; the installation given is not changed.
func ApplyInstallation(i Installation, e Event) Installation {
	switch e.Fact.(type) {
	case Stopped, Resumed:
		i.Stops = maps.Clone(i.Stops)
	case RulesLoaded, RuleWaived, RulesErred: // the only facts that touch rules, of which there may be many
		i.Rules = maps.Clone(i.Rules)
	}
	i.apply(e)
	return i
}

// ReplayInstallation is the sum of a whole history.
func ReplayInstallation(events []Event) Installation {
	var i Installation
	for _, e := range events {
		i.apply(e)
	}
	return i
}

func (i *Installation) apply(e Event) {
	i.Version = e.Version
	switch f := e.Fact.(type) {
	case Founded:
		i.ID = f.ID
	case Armed:
		i.Armed = &Word{e.By, f.Reason, e.At}
	case Disarmed:
		i.Armed = nil
	case Stopped:
		if i.Stops == nil {
			i.Stops = map[string]Word{}
		}
		i.Stops[f.Scope] = Word{e.By, f.Reason, e.At}
	case Resumed:
		delete(i.Stops, f.Scope)
	case MassEvent:
		if i.Mass == nil {
			i.Mass = &Mass{f.Incident, f.Targets, f.Reason, e.At}
		}
	case MassReleased:
		i.Mass, i.MassReleasedUntil = nil, f.Until
	case RulesLoaded:
		i.rulesLoaded(f, e)
	case RuleWaived:
		i.ruleWaived(f, e)
	case RulesErred:
		i.rulesErred(f, e)
	}
}

// StoppedFor is the first stop that covers a target (S19): all, its team, or the target itself.
func (i Installation) StoppedFor(team, target string) (scope string, w Word, stopped bool) {
	for _, scope := range []string{"all", "team/" + team, "target/" + target} {
		if w, ok := i.Stops[scope]; ok {
			return scope, w, true
		}
	}
	return "", Word{}, false
}
