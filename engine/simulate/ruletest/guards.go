package ruletest

import (
	"fmt"
	"strings"
	"time"
)

// Guards are the names under which guards give their findings, in the order in which they are asked.
var Guards = []string{
	"target", "rule", "plan", "fresh", "confirm", "watchdog", "mass_event", "clock", "flapping", "seen", "recent_change", "cooldown", "budget", "destination",
	"changed_rule", "score", "drill", "stop", "hold", "armed", "slot", "same_release", "same_object", "unchanged", "denied", "silenced",
}

// OffsetText is a time counted from the start of the test as a file writes it: 5m, 4m59s, 2d1h.
func OffsetText(d time.Duration) string {
	if d < 0 {
		return "-" + OffsetText(-d)
	}
	text := ""
	if days := d / (24 * time.Hour); days > 0 {
		text, d = fmt.Sprintf("%dd", days), d%(24*time.Hour)
		if d == 0 {
			return text
		}
	}
	rest := d.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}
