package flux

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// standIn does what Flux's controllers do with their objects, as read in their source (kustomize-controller 1.9): a source
// fetches the head of its branch, a Kustomization and a HelmRelease apply what the source has. One that is suspended does nothing, yet
// says that it handled a request.
type standIn struct {
	head string
	// broken makes what is applied at this revision fail; hangs keeps a reconciliation under way; deaf stops all controllers.
	broken, hangs string
	deaf          bool
	// did counts releases and applications: kind and revision.
	did []string
}

func get(o map[string]any, path ...string) string {
	text, _, _ := unstructured.NestedString(o, path...)
	return text
}

func set(o map[string]any, value any, path ...string) {
	if err := unstructured.SetNestedField(o, value, path...); err != nil {
		panic(err)
	}
}

func generation(o map[string]any) int64 {
	n, _, _ := unstructured.NestedInt64(o, "metadata", "generation")
	return n
}

func conditions(o map[string]any, ready, reason, message, reconciling string) {
	all := []any{map[string]any{"type": "Ready", "status": ready, "reason": reason, "message": message}}
	if reconciling != "" {
		all = append(all, map[string]any{"type": "Reconciling", "status": "True", "reason": reconciling, "message": message})
	}
	set(o, all, "status", "conditions")
}

func isReady(o map[string]any) bool {
	all, _, _ := unstructured.NestedSlice(o, "status", "conditions")
	return len(all) > 0 && all[0].(map[string]any)["status"] == "True"
}

// step is one reconciliation of an object; available is the revision that its source has.
func (s *standIn) step(o map[string]any, available string) {
	if s.deaf {
		return
	}
	asked := get(o, "metadata", "annotations", requestedKey)
	observed, _, _ := unstructured.NestedInt64(o, "status", "observedGeneration")
	if suspended, _, _ := unstructured.NestedBool(o, "spec", "suspend"); suspended {
		s.finish(o, asked)
		return
	}
	at := get(o, "status", "lastAppliedRevision")
	if o["kind"] == "GitRepository" {
		at, available = get(o, "status", "artifact", "revision"), "main@sha1:"+s.head
	}
	under := strings.Contains(string(mustJSON(o["status"])), `"reason":"Progressing"`)
	fetches := o["kind"] != "GitRepository" && at != available
	if !under && !fetches && observed == generation(o) && get(o, "status", "lastHandledReconcileAt") == asked && at != "" {
		return
	}
	s.work(o, available, asked, under)
}

// work takes two looks: first it tells that it is at work.
func (s *standIn) work(o map[string]any, available, asked string, under bool) {
	switch {
	case !under:
		conditions(o, "Unknown", "Progressing", "Building manifests for revision "+available, "Progressing")
		return
	case s.hangs != "" && strings.HasSuffix(available, s.hangs):
		return
	case o["kind"] != "GitRepository" && s.broken != "" && strings.HasSuffix(available, s.broken):
		conditions(o, "False", "BuildFailed", "kustomize build failed", "ProgressingWithRetry")
		set(o, available, "status", "lastAttemptedRevision")
		s.finish(o, asked)
		return
	}
	conditions(o, "True", "ReconciliationSucceeded", "Applied revision: "+available, "")
	if o["kind"] == "GitRepository" {
		set(o, available, "status", "artifact", "revision")
	} else {
		set(o, available, "status", "lastAppliedRevision")
		set(o, available, "status", "lastAttemptedRevision")
	}
	s.release(o)
	s.did = append(s.did, o["kind"].(string)+" "+available)
	s.finish(o, asked)
}

// release handles the tokens of a HelmRelease as its controller does: one that is not that of the request is taken as done.
func (s *standIn) release(o map[string]any) {
	if o["kind"] != "HelmRelease" {
		return
	}
	set(o, []any{map[string]any{"chartVersion": get(o, "spec", "chart", "spec", "version")}}, "status", "history")
	for annotation, field := range map[string]string{forceKey: "lastHandledForceAt", resetKey: "lastHandledResetAt"} {
		if token := get(o, "metadata", "annotations", annotation); token != "" {
			set(o, token, "status", field)
		}
	}
}

func (s *standIn) finish(o map[string]any, asked string) {
	if asked != "" {
		set(o, asked, "status", "lastHandledReconcileAt")
	}
	if isReady(o) {
		set(o, generation(o), "status", "observedGeneration")
	}
}
