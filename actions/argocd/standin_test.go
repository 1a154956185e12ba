package argocd

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
)

// standIn does with an Application what Argo CD's application controller does, as read in its source (3.4): it takes an
// operation up, leaves it in place until it is done, blocks on a sync window, ends what is terminated, answers a refresh, and
// syncs by itself when the policy says so and no window keeps it from it. Git is a commit; what runs is a commit.
type standIn struct {
	head string // of the branch that every Application follows
	// hangs makes syncs to this revision never end; sick makes it unhealthy; away stops the controller.
	hangs, sick string
	away        bool
	windows     []cluster.SyncWindow
	// ran are the revisions that were deployed, in order, each with how.
	ran []string
	now func() time.Time
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

func (s *standIn) stamp() string { return s.now().UTC().Format(time.RFC3339) }

// step is one reconciliation; it may change the object.
func (s *standIn) step(o map[string]any) {
	annotations, _, _ := unstructured.NestedStringMap(o, "metadata", "annotations")
	if s.away || annotations[skipKey] == "true" {
		return
	}
	if _, there := o["operation"]; there {
		s.operate(o)
	}
	_, asked := annotations[refreshKey]
	if asked || get(o, "status", "sync", "revision") == "" {
		s.refresh(o)
	}
	if asked {
		unstructured.RemoveNestedField(o, "metadata", "annotations", refreshKey)
	}
	s.autoSync(o)
}

func (s *standIn) refresh(o map[string]any) {
	live := get(o, "status", "operationState", "syncResult", "revision")
	set(o, s.head, "status", "sync", "revision")
	set(o, map[bool]string{true: "Synced", false: "OutOfSync"}[live == s.head], "status", "sync", "status")
	health := "Healthy"
	if live == s.sick && live != "" {
		health = "Degraded"
	}
	set(o, health, "status", "health", "status")
	set(o, s.stamp(), "status", "reconciledAt")
}

func (s *standIn) autoSync(o map[string]any) {
	automated, there, _ := unstructured.NestedMap(o, "spec", "syncPolicy", "automated")
	_, busy := o["operation"]
	if !there || !on(automated) || busy || get(o, "status", "sync", "status") != "OutOfSync" || s.shut(o, false) {
		return
	}
	if get(o, "status", "operationState", "syncResult", "revision") == get(o, "status", "sync", "revision") && automated["selfHeal"] != true {
		return
	}
	o["operation"] = map[string]any{"initiatedBy": map[string]any{"automated": true}, "sync": map[string]any{"revision": get(o, "status", "sync", "revision")}}
}

func (s *standIn) shut(o map[string]any, manual bool) bool {
	return slices.ContainsFunc(s.windows, func(w cluster.SyncWindow) bool {
		open, _, err := w.Open(s.now())
		return err == nil && open && w.Kind == "deny" && slices.Contains(w.Applications, get(o, "metadata", "name")) && (!manual || !w.ManualSync)
	})
}

func (s *standIn) operate(o map[string]any) {
	op := o["operation"].(map[string]any)
	switch phase := get(o, "status", "operationState", "phase"); {
	case phase == phaseTerminating:
		s.end(o, "Failed", "Operation terminated")
		return
	case phase != phaseRunning:
		set(o, map[string]any{"operation": op, "phase": phaseRunning, "startedAt": s.stamp()}, "status", "operationState")
		return
	}
	automated, _, _ := unstructured.NestedBool(op, "initiatedBy", "automated")
	revision := get(op, "sync", "revision")
	if all, _, _ := unstructured.NestedStringSlice(op, "sync", "revisions"); revision == "" && len(all) > 0 {
		revision = all[0]
	}
	switch {
	case s.shut(o, !automated):
		set(o, "Sync operation blocked by sync window", "status", "operationState", "message")
	case revision == s.hangs:
		set(o, "waiting for healthy state of apps/Deployment/api", "status", "operationState", "message")
	default:
		s.deploy(o, op, revision)
	}
}

func (s *standIn) deploy(o, op map[string]any, revision string) {
	how := "by itself"
	if strategy, _, _ := unstructured.NestedMap(op, "sync", "syncStrategy"); strategy != nil {
		for name := range strategy {
			how = name
		}
	}
	s.ran = append(s.ran, revision+" "+how)
	result := map[string]any{"revision": revision}
	entry := map[string]any{"id": int64(len(s.ran)), "revision": revision, "deployedAt": s.stamp()}
	if all, there, _ := unstructured.NestedSlice(op, "sync", "revisions"); there {
		result["revisions"], entry["revisions"] = all, all
	}
	if source, there, _ := unstructured.NestedMap(op, "sync", "source"); there {
		entry["source"] = source
	} else if source, there, _ := unstructured.NestedMap(o, "spec", "source"); there {
		entry["source"] = source
	}
	set(o, result, "status", "operationState", "syncResult")
	past, _, _ := unstructured.NestedSlice(o, "status", "history")
	set(o, append(past, entry), "status", "history")
	s.end(o, phaseSucceeded, "successfully synced")
	s.refresh(o)
}

func (s *standIn) end(o map[string]any, phase, message string) {
	set(o, phase, "status", "operationState", "phase")
	set(o, message, "status", "operationState", "message")
	set(o, s.stamp(), "status", "operationState", "finishedAt")
	delete(o, "operation")
}
