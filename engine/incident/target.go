package incident

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// TargetHistory is what is known of one target: its releases and whether a person holds it.
type TargetHistory struct {
	Version int `json:"version"`
	// Releases are in the order their rollouts ended; the last one runs now.
	Releases []Release `json:"releases,omitempty"`
	// Rolling is a rollout that is going on; its At and Began are when it began.
	Rolling *Release `json:"rolling,omitempty"`
	// UID is that of the object in a cluster that runs the target, as it was last seen (S18).
	UID  string     `json:"uid,omitempty"`
	Hold *HoldState `json:"hold,omitempty"`
	// Flapping is by rule (S11).
	Flapping map[string]FlappingState `json:"flapping,omitempty"`
	// Moves are the rollbacks that incidents made, newest last, at most the last maxMoves.
	Moves []Move `json:"moves,omitempty"`
	// Backs are the moves back that people made past astern, in the order told, at most the last maxBacks. They name no target.
	Backs []MoveBack `json:"backs,omitempty"`
}

// HoldState is a person's "I have it".
type HoldState struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
}

// Move is one rollback that an incident made.
type Move struct {
	Incident string    `json:"incident"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	At       time.Time `json:"at"`
}

const (
	maxReleases = 100
	maxMoves    = 20
	maxBacks    = 100
)

// ApplyTarget is the target's history with one more fact. It is total: facts of other histories change nothing.
func ApplyTarget(t TargetHistory, e Event) TargetHistory {
	t.Version = e.Version
	switch f := e.Fact.(type) {
	case ReleaseRecorded:
		t = t.released(f, e)
	case RolloutBegan:
		t = t.rolloutBegan(f, e)
	case ReleaseSeen:
		t = t.releaseSeen(f)
	case WorkloadSeen:
		t.UID = f.UID
	case ReleaseJudged:
		t.Releases = judge(t.Releases, f)
		if t.Rolling != nil {
			t.Rolling = &judge([]Release{*t.Rolling}, f)[0]
		}
	case RolledBack:
		t = t.rolledBack(f)
	case HoldSet:
		t.Hold = &HoldState{By: e.By, Reason: f.Reason, At: e.At, Until: f.Until}
	case HoldLifted:
		t.Hold = nil
	case Flapped:
		t = t.flapped(f, e.At)
	case FlappingReset:
		t = t.flappingReset(f, e.At)
	}
	return t
}

// record adds a release in the order of rollout ends. The same version told again at the end corrects it; a version
// that comes back after another one is a new entry that keeps its verdict unless it is told anew.
func record(old []Release, r Release) []Release {
	releases := slices.Clone(old)
	if last := len(releases) - 1; last >= 0 && releases[last].Version == r.Version {
		releases[last] = r
		return releases
	}
	at, _ := slices.BinarySearchFunc(releases, r.At, func(have Release, at time.Time) int {
		if have.At.After(at) {
			return 1
		}
		return -1
	})
	return bounded(slices.Insert(releases, at, r))
}

// movedBack says whether a person moved the target back: a version that ran before another runs again because somebody
// told so. The same version told again is a correction, and what astern moved it to is one it has told itself.
func movedBack(before, after []Release, version string, e Event) (MoveBack, bool) {
	if len(before) == 0 || before[len(before)-1].Version == version {
		return MoveBack{}, false
	}
	for n := len(after) - 1; n > 0; n-- {
		if after[n].Version != version {
			continue
		}
		left := leftBy(after[:n], after[n])
		return MoveBack{From: left, To: version, By: e.By, At: after[n].At}, wasThere(after[:n], version) && left != version
	}
	return MoveBack{}, false
}

// leftBy is the version that a move to a release left: what a cluster shows left what it showed last, whatever was told of a
// rollout that it never showed.
func leftBy(before []Release, to Release) string {
	if n := lastShown(before); to.Vars[TemplateVar] != "" && n >= 0 && before[n].Version != to.Version {
		return before[n].Version
	}
	return before[len(before)-1].Version
}

// lastShown is where the last release stands that a cluster showed; below zero when none did.
func lastShown(releases []Release) int {
	for n, r := range slices.Backward(releases) {
		if r.Vars[TemplateVar] != "" {
			return n
		}
	}
	return -1
}

func standing(releases []Release, version string) Standing {
	v, _ := judged(releases, version)
	return v
}

// judged is the last word on a version, and why.
func judged(releases []Release, version string) (Standing, string) {
	if n := lastNamed(releases, version); n >= 0 {
		return releases[n].Verdict, releases[n].Reason
	}
	return Unknown, ""
}

// lastNamed is where the newest release of a name stands; below zero when there is none.
func lastNamed(releases []Release, version string) int {
	for n, r := range slices.Backward(releases) {
		if r.Version == version {
			return n
		}
	}
	return -1
}

func judge(old []Release, f ReleaseJudged) []Release {
	releases := slices.Clone(old)
	for i := range releases {
		if releases[i].Version == f.Version {
			releases[i].Verdict, releases[i].Reason = f.Verdict, f.Reason
		}
	}
	return releases
}

// rolledBack quarantines the version left and puts the one moved to in front (S14). The same incident told twice
// changes nothing.
func (t TargetHistory) rolledBack(f RolledBack) TargetHistory {
	if slices.ContainsFunc(t.Moves, func(m Move) bool { return m.Incident == f.Incident }) {
		return t
	}
	t.Moves = append(slices.Clone(t.Moves), Move{f.Incident, f.From, f.To.Version, f.At})
	if len(t.Moves) > maxMoves {
		t.Moves = t.Moves[len(t.Moves)-maxMoves:]
	}
	t.Backs = slices.DeleteFunc(slices.Clone(t.Backs), func(b MoveBack) bool { // CI told it while the step ran
		return b.From == f.From && b.To == f.To.Version && b.At.Sub(f.At).Abs() <= RightWithin
	})
	if t.Rolling != nil && (t.Rolling.Version == f.From || t.Rolling.Version == f.To.Version) {
		t = t.letGo(f.To.Version) // it was halted and left, or it is the move itself
	}
	if standing(t.Releases, f.From) != Denied {
		t.Releases = judge(t.Releases, ReleaseJudged{f.From, Bad, "left by the rollback of " + f.Incident})
	}
	moved := f.To
	moved.At, moved.By = f.At, f.Incident
	moved.Vars = maps.Clone(moved.Vars)
	if current, ok := t.Current(); ok && current.Version == f.From { // else somebody moved it on meanwhile
		t.Releases = bounded(append(slices.Clone(t.Releases), moved))
	}
	return t
}

func bounded(releases []Release) []Release {
	return releases[max(0, len(releases)-maxReleases):]
}

// Current is the release that runs now, as far as anyone told.
func (t TargetHistory) Current() (Release, bool) {
	if len(t.Releases) == 0 {
		return Release{}, false
	}
	return t.Releases[len(t.Releases)-1], true
}

// Destination is where a rollback would go.
type Destination struct {
	Release Release
	// Ran is how long it was the current release without a break, the last time it was.
	Ran time.Duration
	// Back counts how many releases lie between it and the current one; 1 is the one before.
	Back int
}

// Destination is the newest earlier release that is neither bad nor denied and differs in content from what is left (S14).
// The reason says why there is none.
func (t TargetHistory) Destination() (Destination, string) {
	suspect, ok := t.Suspect()
	if !ok {
		return Destination{}, "no release of this target was ever told: run `astern release record`"
	}
	var passedOver []string
	line, back := t.line(), 0
	for i := len(line) - 2; i >= 0; i-- {
		r := line[i]
		if r.Same(suspect) {
			continue
		}
		now := standing(line, r.Version)
		if r.Unfinished && now == Unknown { // nothing shows that it ever worked, and it is no version back
			passedOver = append(passedOver, "the rollout of "+r.Version+" never ended")
			continue
		}
		back++
		if now.Barred() {
			passedOver = append(passedOver, r.Version+" is "+string(now))
			continue
		}
		return Destination{Release: r, Ran: line[i+1].At.Sub(r.At), Back: back}, ""
	}
	slices.Sort(passedOver) // a version that came and went again and again is named once
	passedOver = slices.Compact(passedOver)
	if len(passedOver) == 0 {
		return Destination{}, "no release before " + suspect.Version + " is known"
	}
	return Destination{}, "no good release before " + suspect.Version + " is known: " + strings.Join(passedOver, ", ")
}

// Held says whether a person's hold stands at the given time.
func (t TargetHistory) Held(now time.Time) (HoldState, bool) {
	if t.Hold == nil || !now.Before(t.Hold.Until) {
		return HoldState{}, false
	}
	return *t.Hold, true
}
