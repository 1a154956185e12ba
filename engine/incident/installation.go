package incident

import (
	"maps"
	"time"
)

// Installation is what a person said about the whole of it: armed or not, stopped or not.
type Installation struct {
	Version int             `json:"version"`
	Armed   *Word           `json:"armed,omitempty"`
	Stops   map[string]Word `json:"stops,omitempty"` // by scope: "all", "team/NAME", "target/NAME"
	// Mass is the mass event that holds everything until a person releases it; none is called before MassReleasedUntil (S8).
	Mass              *Mass     `json:"mass,omitempty"`
	MassReleasedUntil time.Time `json:"mass_released_until,omitzero"`
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

// ApplyInstallation is the installation with one more fact. It is total.
func ApplyInstallation(i Installation, e Event) Installation {
	i.Version = e.Version
	switch f := e.Fact.(type) {
	case Armed:
		i.Armed = &Word{e.By, f.Reason, e.At}
	case Disarmed:
		i.Armed = nil
	case Stopped:
		i.Stops = maps.Clone(i.Stops)
		if i.Stops == nil {
			i.Stops = map[string]Word{}
		}
		i.Stops[f.Scope] = Word{e.By, f.Reason, e.At}
	case Resumed:
		i.Stops = maps.Clone(i.Stops)
		delete(i.Stops, f.Scope)
	case MassEvent:
		if i.Mass == nil {
			i.Mass = &Mass{f.Incident, f.Targets, f.Reason, e.At}
		}
	case MassReleased:
		i.Mass, i.MassReleasedUntil = nil, f.Until
	}
	return i
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
