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
	// MassReleasedUntil lets incidents go on that a mass event held (S8).
	MassReleasedUntil time.Time `json:"mass_released_until,omitzero"`
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
	case MassReleased:
		i.MassReleasedUntil = f.Until
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
