package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// guardEntry is one guard's value for a target, and the level that wrote it. With a rule, it is what holds for that rule
// instead.
type guardEntry struct {
	Target string `json:"target"`
	Rule   string `json:"rule,omitempty"`
	Guard  string `json:"guard"`
	Value  string `json:"value"`
	Level  string `json:"level"` // such as "class web", "installation" or "default"
}

// level is one place that writes guards, and its words by name.
type level struct {
	name  string
	words map[string]string
}

// guardEntries are every guard of every target, in the order of the files.
func (l *loaded) guardEntries() []guardEntry {
	var all []guardEntry
	for _, t := range l.Book.Targets() {
		levels := l.levelsOf(t)
		for _, name := range incident.GuardNames() {
			all = append(all, holding(t.Name, name, levels)...)
			all = append(all, l.ofRules(t, name)...)
		}
	}
	return all
}

// levelsOf are the places that may write guards of a target, nearest first.
func (l *loaded) levelsOf(t *plan.Target) []level {
	var levels []level
	for _, near := range t.Levels {
		levels = append(levels, level{strings.Replace(near.Scope, "/", " ", 1), near.Guards.Written()})
	}
	if l.Config != nil {
		for _, team := range l.Config.Teams {
			if team.Name == t.Team {
				levels = append(levels, level{"team " + team.Name, team.Guards.Written()})
			}
		}
		levels = append(levels, level{"installation", l.Config.WrittenGuards.Written()})
	}
	return append(levels, level{"default", incident.DefaultGuards().Written()})
}

// holding is the nearest word. A count holds at every level that writes it, and always for the installation as a whole.
func holding(target, name string, levels []level) []guardEntry {
	var all []guardEntry
	for _, at := range levels {
		word, written := at.words[name]
		if !written {
			continue
		}
		all = append(all, guardEntry{Target: target, Guard: name, Value: word, Level: at.name})
		if at.name == "installation" || !slices.Contains(counted, name) {
			break
		}
	}
	return all
}

// ofRules are the rules that can reach the target and write this guard themselves.
func (l *loaded) ofRules(t *plan.Target, name string) []guardEntry {
	var all []guardEntry
	for _, r := range l.rules() {
		if only, fixed := r.TargetConstant(); fixed && only != t.Name {
			continue
		}
		own, _ := incident.GuardsFrom(r.Guards) // mistakes are told already
		if word, written := own.Written()[name]; written {
			all = append(all, guardEntry{t.Name, r.Name, name, word, "rule " + r.Name})
		}
	}
	return all
}

func (l *loaded) rules() []*rules.Rule {
	if l.Rules == nil {
		return nil
	}
	return l.Rules.Rules()
}

// guardPage shows targets with the same guards together: what a class writes is told once for all of it.
func (a *app) guardPage(w io.Writer, entries []guardEntry) {
	var pages []string
	targets := map[string][]string{}
	for len(entries) > 0 {
		target, n := entries[0].Target, 0
		for n < len(entries) && entries[n].Target == target {
			n++
		}
		page := a.guardTable(entries[:n])
		if len(targets[page]) == 0 {
			pages = append(pages, page)
		}
		targets[page], entries = append(targets[page], target), entries[n:]
	}
	for _, page := range pages {
		fmt.Fprintf(w, "%s\n%s\n", a.paint(strong, visible(strings.Join(targets[page], ", "))), page)
	}
}

func (a *app) guardTable(entries []guardEntry) string {
	var page strings.Builder
	g := a.grid("GUARD", "VALUE", "WRITTEN BY")
	for _, e := range entries {
		g.row(e.Guard, visible(e.Value), visible(e.Level))
	}
	g.print(&page, "  ")
	return page.String()
}
