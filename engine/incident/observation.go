package incident

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Observation is what a cluster shows of one target.
type Observation struct {
	// Source says where it was read, such as "kubernetes/prod"; At says when.
	Source string
	At     time.Time
	// UID is the workload's: the target is typed by it (S18).
	UID string
	// Release is what runs, or what is being rolled out when Rolling. Its At is when the rollout ended; when Rolling, when it began.
	Release Release
	Rolling bool
	// Past is what ran before, oldest first.
	Past []Release
	// Problem says why the workload could not be read, or that it is not there; then nothing else is set.
	Problem string
}

// Observed is what an observation adds to the target's history; nothing when it shows what is known.
func (t TargetHistory) Observed(o Observation) []Fact {
	var facts []Fact
	add := func(f Fact) {
		facts = append(facts, f)
		t = ApplyTarget(t, Event{Version: t.Version, By: o.Source, At: o.At, Fact: f})
	}
	if o.UID != "" && o.UID != t.UID {
		add(WorkloadSeen{UID: o.UID})
	}
	if before := t; lastShown(before.line()) < 0 {
		for _, r := range o.Past {
			if _, told := before.match(r); !told {
				add(ReleaseRecorded{Release: t.named(r)})
			}
		}
	}
	for _, r := range o.Past {
		if seen, news := t.seen(r); news {
			add(seen)
		}
	}
	now := t.named(o.Release)
	suspect, known := t.Suspect()
	switch {
	case t.awaits(o, now): // CI told of a rollout, and the cluster does not show it yet
	case !known || suspect.Version != now.Version:
		if o.Rolling {
			add(RolloutBegan{Release: now})
			break
		}
		add(ReleaseRecorded{Release: now})
	case t.Rolling != nil && !o.Rolling:
		add(ReleaseRecorded{Release: now})
	default:
		if seen, news := t.seen(o.Release); news {
			add(seen)
		}
	}
	return facts
}

// awaits says whether what is seen is what was there before a rollout that was told: a cluster that did not move since it was
// read last shows no move back.
func (t TargetHistory) awaits(o Observation, now Release) bool {
	suspect, last := t.Unshown(), lastShown(t.line())
	if suspect == nil || last < 0 || t.line()[last].Version != now.Version {
		return false
	}
	if was, is := t.line()[last].Vars[RevisionVar], o.Release.Vars[RevisionVar]; was != "" && is != "" {
		return was == is
	}
	return !o.Release.At.After(suspect.At)
}

// Unshown is the suspect when it was told, and no cluster ever showed it.
func (t TargetHistory) Unshown() *Release {
	suspect, ok := t.Suspect()
	n := len(t.Moves)
	if !ok || suspect.Vars[TemplateVar] != "" || n > 0 && t.Moves[n-1].To == suspect.Version && t.Moves[n-1].At.Equal(suspect.At) {
		return nil
	}
	return &suspect
}

// Overtaken says whether a cluster showed the release before and shows another one since.
func (t TargetHistory) Overtaken(r Release) bool {
	suspect, _ := t.Suspect()
	n := lastNamed(t.line(), r.Version)
	before := n >= 0 && r.Version != suspect.Version && t.line()[n].Vars[TemplateVar] != ""
	return before && suspect.Vars[TemplateVar] != "" && (r.At.IsZero() || !r.At.Before(suspect.At))
}

// match is the newest known release with this content.
func (t TargetHistory) match(r Release) (Release, bool) {
	for _, known := range slices.Backward(t.line()) {
		if known.Same(r) {
			return known, true
		}
	}
	return Release{}, false
}

// named gives an observed release the name under which its content is known. A name that other content has already is told
// apart by the template's digest.
func (t TargetHistory) named(r Release) Release {
	if known, ok := t.match(r); ok {
		r.Version = known.Version
		return known.with(Release{Version: known.Version, At: r.At, Commit: cmp.Or(known.Commit, r.Commit), Digest: cmp.Or(known.Digest, r.Digest), Vars: r.Vars})
	}
	if ran(t.line(), r.Version) && r.Vars[TemplateVar] != "" {
		r.Version = apart(r.Version, r.Vars[TemplateVar])
	}
	return r
}

// apart is a name that other content has already, with the beginning of a digest behind it.
func apart(version, digest string) string {
	hex := digest[strings.Index(digest, ":")+1:]
	return version + "+" + hex[:min(8, len(hex))]
}

// Told is a release that a person or CI tells: content that is known already keeps the name it is known by, and a name that is
// used again names what is there now.
func (t TargetHistory) Told(r Release) Release {
	r.Version = t.toldName(r)
	if now, ok := t.Suspect(); ok && now.Version == r.Version {
		r = now.with(r)
	}
	return r
}

// toldName tells content apart as the names of a cluster are.
func (t TargetHistory) toldName(r Release) string {
	now, ok := t.Suspect()
	at := lastNamed(t.line(), r.Version)
	taken, again := at >= 0, now.Vars[TemplateVar] != "" && now.Version == apart(r.Version, now.Vars[TemplateVar])
	switch {
	case !ok || now.Version == r.Version:
		return r.Version
	case r.Digest != "" && now.Digest == r.Digest && (again || !taken):
		return now.Version
	case taken && r.Digest != "" && t.line()[at].Digest == r.Digest:
		return r.Version
	case again && (r.Digest == "" || now.Digest == ""):
		return now.Version
	case taken && r.Digest != "" && t.line()[at].Digest != "": // a third content of one name
		return apart(r.Version, r.Digest)
	}
	return r.Version
}

// Quarantined says whether a release is bad or denied, by its name or by its content, and why.
func (t TargetHistory) Quarantined(r Release) (bool, string) {
	for _, known := range slices.Backward(t.line()) {
		if !known.Verdict.Barred() || known.Version != r.Version && (r.Digest == "" || known.Digest != r.Digest) {
			continue
		}
		return true, known.Version + " is " + string(known.Verdict) + ": " + known.Reason
	}
	return false, ""
}

// seen is what a cluster shows of a release that is known, when that is more than is known of it.
func (t TargetHistory) seen(r Release) (ReleaseSeen, bool) {
	known, ok := t.match(r)
	if !ok {
		return ReleaseSeen{}, false
	}
	f := ReleaseSeen{Version: known.Version, Commit: r.Commit, Digest: r.Digest, Vars: r.Vars}
	filled := f.fill(known)
	return f, filled.Commit != known.Commit || filled.Digest != known.Digest || !maps.Equal(filled.Vars, known.Vars)
}

// fill puts what was seen into a release: what was told of commit and digest stays, vars follow the cluster.
func (f ReleaseSeen) fill(r Release) Release {
	if r.Commit == "" {
		r.Commit = f.Commit
	}
	if r.Digest == "" {
		r.Digest = f.Digest
	}
	word := r
	word.Vars = f.Vars
	return r.with(word)
}

func (t TargetHistory) releaseSeen(f ReleaseSeen) TargetHistory {
	t.Releases = slices.Clone(t.Releases)
	for n, r := range t.Releases {
		if r.Version == f.Version {
			t.Releases[n] = f.fill(r)
		}
	}
	if t.Rolling != nil && t.Rolling.Version == f.Version {
		filled := f.fill(*t.Rolling)
		t.Rolling = &filled
	}
	return t
}
