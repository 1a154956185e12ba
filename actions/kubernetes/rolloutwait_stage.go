package kubernetes

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// stage is how far a rollout is at one look.
type stage struct {
	rollout
	revisions []revision
	all       []rolloutPod
}

func (s stage) present(wanted string) (revision, bool) { return now(s.rollout, s.revisions, wanted) }

// hasTemplate says whether a pod was made from the present template. A restart of the same version makes another revision of it.
func (s stage) hasTemplate(p rolloutPod) bool {
	for _, v := range s.revisions {
		if v.hash == p.hash {
			return v.digest == s.digest()
		}
	}
	return false
}

// old says whether a pod is one that the rollout replaces.
func (s stage) old(p rolloutPod) bool {
	below := s.number("spec", "ordinals", "start") + s.pace().partition()
	return !s.hasTemplate(p) && (s.ref.Kind != statefulSet || int64(p.ordinal()) >= below)
}

// ended says that a pod runs no more and only its record is left, as after an eviction.
func (p rolloutPod) ended() bool {
	phase, _, _ := unstructured.NestedString(p.obj.Object, "status", "phase")
	return phase == "Failed" || phase == "Succeeded"
}

// stuck says why the pod does not start, in the words of its node.
func (p rolloutPod) stuck() string { return shortLine(cluster.Stuck(&p.obj)) }

const maxWords = 300

// shortLine makes one short line of what a cluster says.
func shortLine(said string) string {
	line := strings.Join(strings.Fields(said), " ")
	if len(line) > maxWords {
		return strings.ToValidUTF8(line[:maxWords], "") + "…"
	}
	return line
}

func (s stage) count(of func(rolloutPod) bool) int {
	n := 0
	for _, p := range s.all {
		if !p.ended() && of(p) {
			n++
		}
	}
	return n
}

func (s stage) updatedPods() int {
	return s.count(func(p rolloutPod) bool { return !p.going && s.hasTemplate(p) })
}

func (s stage) readyPods() int {
	return s.count(func(p rolloutPod) bool { return !p.going && s.hasTemplate(p) && p.ready })
}

func (s stage) oldPods() int { return s.count(func(p rolloutPod) bool { return !p.going && s.old(p) }) }

func (s stage) goingPods() int { return s.count(func(p rolloutPod) bool { return p.going }) }

// line says in words how far it is.
func (s stage) line() string {
	line := fmt.Sprintf("%d of %d pods updated, %d ready", s.updatedPods(), s.replicas(), s.readyPods())
	if n := s.oldPods(); n > 0 {
		line += fmt.Sprintf(", %d of another version", n)
	}
	if n := s.goingPods(); n > 0 {
		line += fmt.Sprintf(", %d ending", n)
	}
	if below := s.pace().partition(); s.ref.Kind == statefulSet && below > 0 {
		line += fmt.Sprintf(" (partition %d)", below)
	}
	if why := s.refused(); why != "" {
		return line + "; " + why
	}
	for _, p := range s.all {
		if why := p.stuck(); why != "" && !p.going {
			return line + "; pod " + p.name + ": " + why
		}
	}
	return line
}

// seenLast is the line of the last look, in parentheses, for an error that does not tell it.
func (s stage) seenLast() string {
	if s.obj == nil {
		return ""
	}
	return " (last " + s.line() + ")"
}

// refused says why no further pod can be made, such as a quota that is used up.
func (s stage) refused() string {
	c := s.condition("ReplicaFailure")
	if c["status"] != "True" {
		return ""
	}
	return shortLine(fmt.Sprintf("no pod can be made: %v", c["message"]))
}

// done is all of it: the controller has seen the spec and says that it is met, every pod has the template and is ready, and
// no pod is ending.
func (s stage) done() bool {
	if state, _ := cluster.Status(s.obj); !s.seen() || state != cluster.Current {
		return false
	}
	wanted := s.replicas()
	if s.ref.Kind == statefulSet {
		wanted = max(0, wanted-s.pace().partition())
	}
	return s.number("status", "terminatingReplicas") == 0 && s.goingPods() == 0 && s.oldPods() == 0 &&
		int64(s.readyPods()) >= wanted && s.readyPods() == s.updatedPods()
}

// hopeless says why the rollout cannot end by itself.
func (s stage) hopeless() error {
	switch {
	case s.pace().Paused, s.halts(s.pace()) && s.oldPods() > 0:
		return actions.Permanent(errors.New("it is halted; kubernetes/rollout-undo or `kubectl rollout resume` end that"))
	case s.pace().strategy() == onDelete && int64(s.updatedPods()) < s.replicas():
		return actions.Permanent(errors.New("its update strategy is OnDelete: pods are replaced only when somebody deletes them"))
	}
	c := s.condition("Progressing")
	at, _ := time.Parse(time.RFC3339, text(c, "lastUpdateTime"))
	if c["reason"] == "ProgressDeadlineExceeded" && s.seen() && s.ours(at) {
		return actions.Permanent(errors.New("its progress deadline is exceeded"))
	}
	return nil
}

// condition gives a condition of the object.
func (s stage) condition(name string) map[string]any {
	for _, c := range cluster.Items(cluster.Below(s.obj.Object, "status"), "conditions") {
		if c["type"] == name {
			return c
		}
	}
	return nil
}

// ours tells the deadline of this rollout from that of the one before. A Deployment's controller lets the latter stand until
// there is progress, even after it has seen the new template; one of ours is the deadline younger than the template.
func (s stage) ours(at time.Time) bool {
	var written time.Time
	for _, m := range s.obj.GetManagedFields() {
		if m.Subresource == "" && m.Time != nil && m.FieldsV1 != nil && strings.Contains(m.FieldsV1.GetRawString(), `"f:template"`) && m.Time.After(written) {
			written = m.Time.Time
		}
	}
	deadline := time.Duration(s.number("spec", "progressDeadlineSeconds")) * time.Second
	return !at.Before(written.Add(deadline / 2))
}

// patience is what is left of it: in all, and for each pod that does not start.
type patience struct {
	until time.Time
	grace time.Duration
	since map[string]time.Time
}

// unread bears that a reading failed, until the time is over.
func (p *patience) unread(ref cluster.Ref, err error, now time.Time) error {
	if actions.IsPermanent(err) || cluster.IsNotFound(err) || !now.Before(p.until) {
		return err
	}
	return nil
}

// over says that the time is over, or the grace of a pod that does not start, or of pods that cannot be made. A pod that
// crashes is up in between: only one that became ready has its grace anew.
func (p *patience) over(s stage, now time.Time) error {
	for _, one := range s.all {
		why := one.stuck()
		if strings.HasPrefix(why, "Unschedulable") { // a node may come
			why = ""
		}
		if p.out(one.uid, why, one.ready || one.going || !s.hasTemplate(one), now) {
			return actions.Permanent(fmt.Errorf("pod %s does not start: %s", one.name, why))
		}
	}
	why := s.refused()
	if p.out("refused", why, why == "", now) {
		return actions.Permanent(errors.New(why))
	}
	if !now.Before(p.until) {
		return errors.New("it is not rolled out in time")
	}
	return nil
}

// out says whether something is wrong now and was first wrong longer ago than the grace.
func (p *patience) out(what, why string, well bool, now time.Time) bool {
	if well {
		delete(p.since, what)
	}
	if well || why == "" {
		return false
	}
	if _, known := p.since[what]; !known {
		p.since[what] = now
	}
	return now.Sub(p.since[what]) >= p.grace
}
