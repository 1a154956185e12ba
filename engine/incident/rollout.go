package incident

import (
	"cmp"
	"maps"
	"slices"
)

// line is every release in the order they came, a rollout that is going on last.
func (t TargetHistory) line() []Release {
	if t.Rolling == nil {
		return t.Releases
	}
	return append(slices.Clone(t.Releases), *t.Rolling)
}

// Suspect is what a rollback would leave: the rollout that is going on, else what runs.
func (t TargetHistory) Suspect() (Release, bool) {
	if t.Rolling != nil {
		return *t.Rolling, true
	}
	return t.Current()
}

// CameBack says whether the suspect ran before another release, and somebody moved back to it: that is no new rollout, and it
// is never rolled back automatically (S12).
func (t TargetHistory) CameBack() bool {
	line := t.line()
	return len(line) > 1 && wasThere(line[:len(line)-1], line[len(line)-1].Version)
}

// Knows says whether a version was ever told or seen, a rollout that goes on among them.
func (t TargetHistory) Knows(version string) bool { return ran(t.line(), version) }

func ran(releases []Release, version string) bool {
	return slices.ContainsFunc(releases, func(r Release) bool { return r.Version == version })
}

// wasThere is ran without rollouts that were told, were replaced, and never seen: whoever begins with one moves nothing back.
func wasThere(releases []Release, version string) bool {
	return slices.ContainsFunc(releases, func(r Release) bool {
		return r.Version == version && (!r.Unfinished || r.Vars[TemplateVar] != "")
	})
}

// rolloutBegan remembers a rollout that goes on. Told again, or of what runs already, it is no other.
func (t TargetHistory) rolloutBegan(f RolloutBegan, e Event) TargetHistory {
	r := completed(f.Release, t.line(), e)
	r.Began = r.At
	if suspect, ok := t.Suspect(); ok && suspect.Version == r.Version {
		return t
	}
	t = t.letGo(r.Version)
	if wasThere(t.Releases, r.Version) {
		t.Releases = quarantine(t.Releases, leftBy(t.Releases, r), r.Version, r.By)
	}
	t.Rolling = &r
	return t
}

// letGo keeps a rollout that another one replaced: it never ended, but it can be named and judged.
func (t TargetHistory) letGo(next string) TargetHistory {
	if t.Rolling == nil {
		return t
	}
	if t.Rolling.Version != next {
		left := *t.Rolling
		left.Unfinished = true
		t.Releases = bounded(append(slices.Clone(t.Releases), left))
	}
	t.Rolling = nil
	return t
}

// quarantine keeps a version that was left for an earlier one from being gone back to (S14). Whoever goes on to one that is
// bad says nothing of what was left.
func quarantine(releases []Release, left, to, by string) []Release {
	if left == to || standing(releases, to).Barred() || standing(releases, left).Barred() {
		return releases
	}
	return judge(releases, ReleaseJudged{left, Bad, "left when " + by + " moved back to " + to})
}

// released takes in that a rollout ended: with it a rollout of the same version is over, and so is one it replaced.
func (t TargetHistory) released(f ReleaseRecorded, e Event) TargetHistory {
	r := completed(f.Release, t.line(), e)
	if rolling := t.Rolling; rolling != nil && !r.At.Before(rolling.Began) {
		if rolling.Version == r.Version {
			r = rolling.with(r)
			r.Began = rolling.Began
		}
		t = t.letGo(r.Version)
	}
	before := t.Releases
	t.Releases = record(before, r)
	back, ok := movedBack(before, t.Releases, r.Version, e)
	if !ok {
		return t
	}
	t.Backs = append(slices.Clone(t.Backs), back)
	t.Backs = t.Backs[max(0, len(t.Backs)-maxBacks):]
	t.Releases = quarantine(t.Releases, back.From, back.To, back.By)
	return t
}

// completed fills what nobody said of a release.
func completed(r Release, known []Release, e Event) Release {
	if r.By == "" {
		r.By = e.By
	}
	if r.At.IsZero() {
		r.At = e.At
	}
	if r.Verdict == "" {
		r.Verdict, r.Reason = judged(known, r.Version)
	}
	return r
}

// with is the release with what another word says of the same one; that word wins where both say something.
func (r Release) with(word Release) Release {
	merged := word
	merged.Commit, merged.Digest, merged.Schema = cmp.Or(word.Commit, r.Commit), cmp.Or(word.Digest, r.Digest), cmp.Or(word.Schema, r.Schema)
	if len(r.Vars) > 0 {
		merged.Vars = maps.Clone(r.Vars)
		maps.Copy(merged.Vars, word.Vars)
	}
	return merged
}

// The vars that a cluster gives a release: the digest of its pod template, and the number of its revision.
const (
	TemplateVar = "template"
	RevisionVar = "revision"
)

// Same says whether two releases are the same content, by the strongest name that both have.
func (r Release) Same(other Release) bool {
	for _, names := range [][2]string{{r.Vars[TemplateVar], other.Vars[TemplateVar]}, {r.Digest, other.Digest}} {
		if names[0] != "" && names[1] != "" {
			return names[0] == names[1]
		}
	}
	return r.Version == other.Version
}
