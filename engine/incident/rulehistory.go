package incident

import (
	"slices"
	"strings"
	"time"
)

// RuleHistory is what was in force of one rule.
type RuleHistory struct {
	// Contents are the contents that were in force one after another, oldest first. One without a digest says that the
	// rule was not in the files.
	Contents []RuleContent
	// Waived is the last waiver.
	Waived *Waiver
	// Error is the last time that a content could not be evaluated.
	Error *RuleFailure
}

// RuleContent is one content of a rule and since when it was in force.
type RuleContent struct {
	Digest string
	At     time.Time
}

// Waiver is a named person's word that one content of a rule may act at once.
type Waiver struct {
	Digest string
	Word
}

// RuleFailure is that a rule's content could not be evaluated.
type RuleFailure struct {
	RuleError
	At time.Time
}

// RuleChange is a change under which a rule only suggests (S20).
type RuleChange struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// Change says whether a content of a rule is so new that it may only suggest. The content that ran before the change
// is trusted, so that going back to it is no change; another becomes trusted by being in force for the whole while. A rule
// that comes for the first time is no change; one that was away keeps what is trusted. A content that the history does
// not know is as new as can be.
func (h RuleHistory) Change(digest string, now time.Time, while time.Duration) (RuleChange, bool) {
	if len(h.Contents) == 0 || h.Waived != nil && h.Waived.Digest == digest {
		return RuleChange{}, false
	}
	trusted, current := h.Contents[0].Digest, h.Contents[0]
	for _, next := range h.Contents[1:] {
		if current.Digest != "" && next.At.Sub(current.At) >= while {
			trusted = current.Digest
		}
		current = next
	}
	since := current.At
	if current.Digest != digest {
		since = now
	}
	c := RuleChange{At: since, Until: since.Add(while)}
	return c, digest != trusted && now.Before(c.Until)
}

// current is the content in force; its digest is empty when the rule is not in the files.
func (h RuleHistory) current() RuleContent {
	if len(h.Contents) == 0 {
		return RuleContent{}
	}
	return h.Contents[len(h.Contents)-1]
}

// RulesSince says what a set of rules, digest by name, changes. Of ten thousand rules that stay as they are it says nothing.
func (i Installation) RulesSince(now map[string]string) (rules []RuleDigest, gone []string) {
	for name, digest := range now {
		if i.Rules[name].current().Digest != digest {
			rules = append(rules, RuleDigest{name, digest})
		}
	}
	for name, h := range i.Rules {
		if _, there := now[name]; !there && h.current().Digest != "" {
			gone = append(gone, name)
		}
	}
	slices.SortFunc(rules, func(a, b RuleDigest) int { return strings.Compare(a.Rule, b.Rule) })
	slices.Sort(gone)
	return rules, gone
}

func (i *Installation) rulesLoaded(f RulesLoaded, e Event) {
	for _, r := range f.Rules {
		i.ruleNow(r.Rule, RuleContent{r.Digest, e.At})
	}
	for _, name := range f.Gone {
		i.ruleNow(name, RuleContent{"", e.At})
	}
}

func (i *Installation) ruleNow(name string, c RuleContent) {
	h := i.Rules[name]
	if h.current().Digest == c.Digest {
		return
	}
	h.Contents = append(slices.Clone(h.Contents), c)
	i.setRule(name, h)
}

func (i *Installation) ruleWaived(f RuleWaived, e Event) {
	h := i.Rules[f.Rule]
	h.Waived = &Waiver{f.Digest, Word{e.By, f.Reason, e.At}}
	i.setRule(f.Rule, h)
}

func (i *Installation) rulesErred(f RulesErred, e Event) {
	for _, r := range f.Rules {
		h := i.Rules[r.Rule]
		h.Error = &RuleFailure{r, e.At}
		i.setRule(r.Rule, h)
	}
}

func (i *Installation) setRule(name string, h RuleHistory) {
	if i.Rules == nil {
		i.Rules = map[string]RuleHistory{}
	}
	i.Rules[name] = h
}
