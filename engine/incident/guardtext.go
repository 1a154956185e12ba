package incident

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Written gives the bounds that are written, by the names and in the words that GuardsFrom reads.
func (g Guards) Written() map[string]string {
	all := map[string]string{}
	put(all, "cooldown", g.Cooldown, durationText)
	put(all, "recent_change", g.RecentChange, durationText)
	put(all, "flapping", g.Flapping, burstText)
	put(all, "changing_at_once", g.ChangingAtOnce, strconv.Itoa)
	put(all, "max_per_hour", g.MaxPerHour, strconv.Itoa)
	put(all, "max_per_day", g.MaxPerDay, strconv.Itoa)
	put(all, "mass_event", g.MassEvent, burstText)
	put(all, "approval_offered", g.ApprovalOffered, durationText)
	put(all, "approval_good", g.ApprovalGood, durationText)
	put(all, "fresh_evidence", g.FreshEvidence, durationText)
	put(all, "destination_healthy", g.Healthy, durationText)
	put(all, "plan_age", g.PlanAge, durationText)
	put(all, "watchdog", g.Watchdog, durationText)
	put(all, "settle", g.Settle, durationText)
	put(all, "changed_rule", g.ChangedRule, durationText)
	put(all, "score", g.Score, shareText)
	put(all, "drill", g.Drill, durationText)
	return all
}

func put[T any](all map[string]string, name string, b Bound[T], text func(T) string) {
	switch {
	case b.Written && b.Off:
		all[name] = "off"
	case b.Written:
		all[name] = text(b.Value)
	}
}

// durationText leaves out the zeros that Go's own form ends with: 1h, not 1h0m0s; whole days are days.
func durationText(d time.Duration) string {
	if day := 24 * time.Hour; d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func shareText(share float64) string { return strconv.FormatFloat(share, 'g', -1, 64) }

func burstText(b Burst) string {
	share := ""
	if b.Percent > 0 {
		share = fmt.Sprintf(" or %d%%", b.Percent)
	}
	return fmt.Sprintf("%d%s in %s", b.Count, share, durationText(b.Within))
}
