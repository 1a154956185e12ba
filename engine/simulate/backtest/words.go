package backtest

import "fmt"

// Words says an outcome as people read it: an invented guard keeps its name.
func Words(outcome string) string {
	words := map[string]string{
		WouldAct: "would have rolled back", Resolved: "resolved before its `for`", Pending: "`for` not over yet",
		Unknown: "confirm had no answer", confirms: "confirm did not hold", NoPlan: "no plan can be made", Mass: "mass event", "mass_event_called": "mass event",
		NoMatch: "not matched", NoTarget: "no target", "recent_change": "no recent release", "destination": "no way back",
		"watchdog": "Watchdog not alive", "fresh": "stale evidence", "cooldown": "cooldown", "budget": "budget", "hold": "held by a person", "stop": "stopped",
	}
	if w, known := words[outcome]; known {
		return w
	}
	return fmt.Sprintf("held by %s", outcome)
}
