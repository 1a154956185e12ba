package kubernetes

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// changeCause is what `kubectl rollout history` shows.
const changeCause = "kubernetes.io/change-cause"

// versionKeys are annotations that say which version the object is; they go back with the template.
var versionKeys = []string{"astern.dev/version", "astern.dev/commit", "org.opencontainers.image.revision"}

// undoOps are the one write: the template that was read is there no longer, the goal's is, and pods are replaced at the pace
// of before the halt. In two writes the version to leave would go on rolling in between.
func undoOps(env actions.Env, r rollout, to revision) []cluster.Op {
	ops := []cluster.Op{{Op: "test", Path: "/spec/template", Value: r.template()}}
	ops = append(ops, cluster.Op{Op: "replace", Path: "/spec/template", Value: to.restored()})
	_, ours := r.halted()
	if ours || r.pace().Paused {
		usual := r.usual()
		usual.Paused = false
		ops = append(ops, r.to(usual))
	}
	if r.obj.GetAnnotations()[haltedKey] != "" {
		ops = append(ops, cluster.Op{Op: "remove", Path: annotation(haltedKey)})
	}
	ops = append(ops, r.annotate(changeCause, fmt.Sprintf("astern %s: back to revision %d, template %s", env.Incident, to.number, to.digest))...)
	return append(ops, versionOps(r, to)...)
}

// restored is the template as it was written, without what its controller added.
func (v revision) restored() map[string]any {
	template := runtime.DeepCopyJSON(v.template)
	if metadata, is := template["metadata"].(map[string]any); is && metadata["creationTimestamp"] == nil {
		delete(metadata, "creationTimestamp")
	}
	return template
}

func versionOps(r rollout, to revision) []cluster.Op {
	var ops []cluster.Op
	for _, key := range versionKeys {
		was, is := to.annotations[key], r.obj.GetAnnotations()[key]
		switch was {
		case is:
		case "":
			ops = append(ops, cluster.Op{Op: "remove", Path: annotation(key)})
		default:
			ops = append(ops, cluster.Op{Op: "add", Path: annotation(key), Value: was})
		}
	}
	return ops
}

// resumeOps end a halt of ours where the goal's template is there already.
func resumeOps(r rollout) []cluster.Op {
	if _, ours := r.halted(); !ours {
		return nil
	}
	return []cluster.Op{r.to(r.usual()), {Op: "remove", Path: annotation(haltedKey)}}
}

// rollsAt refuses a pace at which the goal's template would replace no pod, or not all of them.
func (u *Undo) rollsAt(r rollout, all []revision, to revision) error {
	usual, current := r.usual(), r.text("status", "currentRevision")
	below := slices.IndexFunc(all, func(v revision) bool { return v.name == current && v.digest == to.digest })
	switch {
	case usual.Paused && !u.Resume:
		return actions.Permanent(fmt.Errorf("undo %s: it is paused, and not by astern: somebody has it in hand. Resume it (kubectl rollout resume), or set `resume: true` to resume it together with the template", r.ref))
	case usual.strategy() == onDelete:
		return actions.Permanent(fmt.Errorf("undo %s: its update strategy is OnDelete: a template replaces no pod. Apply the manifest and delete the pods by hand, or give it the strategy RollingUpdate", r.ref))
	case r.ref.Kind == statefulSet && usual.partition() > 0 && below < 0:
		return actions.Permanent(fmt.Errorf("undo %s: its partition is %d: the pods below it stay at %s, which is not the goal %s. Set the partition to 0 first", r.ref, usual.partition(), current, to.name))
	}
	return nil
}

// appliers are warnings: an undo of the template alone leaves what those who apply the object remember of it as it is.
func appliers(r rollout) []string {
	var lines []string
	say := func(who, so string) {
		lines = append(lines, fmt.Sprintf("= %s is applied by %s: %s. Where its manifest is in Git, prefer manifest/revert", r.ref, who, so))
	}
	for _, m := range r.obj.GetManagedFields() {
		if m.Operation == "Apply" && m.Subresource == "" && m.Manager != "astern" {
			say(m.Manager+" (server-side)", "its next apply conflicts with astern over what goes back here, until it takes that over (kubectl apply --server-side --force-conflicts)")
		}
	}
	annotations := r.obj.GetAnnotations()
	if annotations["kubectl.kubernetes.io/last-applied-configuration"] != "" {
		say("kubectl apply", "its next apply counts from the manifest of the version to leave")
	}
	if release := annotations["meta.helm.sh/release-name"]; release != "" {
		say("Helm (release "+release+")", "its record still names the version to leave, and its next upgrade counts from that")
	}
	return lines
}
