package ruletest

import (
	"fmt"
	"strconv"

	"astern.dev/astern/engine/incident"
)

// notice holds what somebody should have been told against the notices that are owed at a moment.
func (s Story) notice(c *comparison, want NoticeSays, now state) {
	found := false
	for _, n := range now.incident().Notices {
		if n.To == want.To && (want.Via == "" || n.Via == want.Via) {
			found = true
			s.oneNotice(c, want, n, now)
		}
	}
	if !found && (want.Told == nil || *want.Told) && (want.Times == nil || *want.Times > 0) {
		c.add("notice", want.text(), "nothing is owed to "+want.To)
	}
}

func (n NoticeSays) text() string {
	if n.Via == "" {
		return n.To + " is told"
	}
	return n.To + " is told via " + n.Via
}

func (s Story) oneNotice(c *comparison, want NoticeSays, n incident.Notice, now state) {
	name := "notice " + n.To + " via " + n.Via
	told := "not told"
	if !n.FirstAt.IsZero() {
		told = "told at " + OffsetText(s.momentOffset(n.FirstAt))
	} else if n.Error != "" {
		told += ": " + n.Error
	}
	arrived := !n.FirstAt.IsZero()
	if want.Told != nil && *want.Told != arrived {
		c.add(name, map[bool]string{true: "told", false: "not told"}[*want.Told], told)
	}
	if want.By != nil && (!arrived || s.momentOffset(n.FirstAt) > *want.By) {
		c.add(name, "told by "+OffsetText(*want.By), told)
	}
	if want.Within != nil && (!arrived || n.FirstAt.Sub(n.OwedAt) > *want.Within) {
		c.add(name, fmt.Sprintf("told within %s of %s", OffsetText(*want.Within), OffsetText(s.momentOffset(n.OwedAt))), told)
	}
	if want.Due != nil && s.momentOffset(n.Due) != *want.Due {
		c.add(name, "due at "+OffsetText(*want.Due), "due at "+OffsetText(s.momentOffset(n.Due)))
	}
	if want.Overdue != nil && *want.Overdue != !n.OverdueAt.IsZero() {
		c.add(name, map[bool]string{true: "overdue", false: "not overdue"}[*want.Overdue], told+", due at "+OffsetText(s.momentOffset(n.Due)))
	}
	if times := now.tellings(n.ID); want.Times != nil && *want.Times != times {
		c.add(name, strconv.Itoa(*want.Times)+" times", strconv.Itoa(times)+" times")
	}
}

// tellings counts how often a notice had arrived by then.
func (s state) tellings(id string) int {
	n := 0
	for _, e := range s.history.Events[:s.version] {
		if told, ok := e.Fact.(incident.NoticeTold); ok && told.ID == id {
			n++
		}
	}
	return n
}
