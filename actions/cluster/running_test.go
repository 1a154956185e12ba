package cluster

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

var midnight = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// Each scenario of testdata/running.txt shows a namespace and what must be told from it.
func TestWhatAWorkloadRuns(t *testing.T) {
	text, err := os.ReadFile("testdata/running.txt")
	require.NoError(t, err)
	scenarios := strings.Split(string(text), "\n== ")[1:]
	require.Greater(t, len(scenarios), 15)
	for _, scenario := range scenarios {
		name, body, _ := strings.Cut(scenario, "\n")
		t.Run(name, func(t *testing.T) {
			s, asked := newScene(), ""
			for line := range strings.SplitSeq(strings.TrimSpace(body), "\n") {
				question, asks := strings.CutPrefix(line, "? ")
				switch {
				case asks:
					asked = question
				case asked != "":
					kind, object, _ := strings.Cut(asked, " ")
					require.Equal(t, line, telling(s.running(Ref{kind, "shop", object})))
				default:
					kind, obj := parseLine(t, line)
					s.put(kind, obj)
				}
			}
			require.NotEmpty(t, asked)
		})
	}
}

// telling is what was read, in one line.
func telling(r Running, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	b.WriteString(r.Release.Version)
	if r.Release.Commit != "" {
		b.WriteString(" " + r.Release.Commit)
	}
	if n := r.Release.Vars["revision"]; n != "" {
		b.WriteString(" revision " + n)
	}
	fmt.Fprintf(&b, " of %s%s, ", r.Release.Vars["workload"], sides(r.Release))
	switch {
	case r.Rolling:
		fmt.Fprintf(&b, "rolling since %s", minute(r.Release.At))
	case r.Release.Proven:
		fmt.Fprintf(&b, "began %s, ended %s", minute(r.Release.Began), minute(r.Release.At))
	default:
		fmt.Fprintf(&b, "began %s, perhaps ended %s", minute(r.Release.Began), minute(r.Release.At))
	}
	if r.Release.Digest != "" {
		b.WriteString(", image " + r.Release.Digest[len("sha256:"):len("sha256:")+2])
	}
	for n, past := range r.Past {
		b.WriteString(map[bool]string{true: "; past: ", false: ", "}[n == 0] + past.Version + minute(past.At) + sides(past))
	}
	return b.String()
}

func sides(r Release) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(r.Vars)) {
		if key == "app" || key == "track" {
			all = append(all, key+"="+r.Vars[key])
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, " ") + ")"
}

func minute(at time.Time) string { return fmt.Sprintf("@%d", int(at.Sub(midnight)/time.Minute)) }

// parseLine reads an object of a scenario.
func parseLine(t *testing.T, line string) (string, *unstructured.Unstructured) {
	words := strings.Fields(line)
	kind := map[string]string{"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet", "rs": "ReplicaSet",
		"revision": "ControllerRevision", "pod": "Pod", "service": "Service"}[words[0]]
	require.NotEmpty(t, kind, line)
	said := map[string]string{}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		if k, v, timed := strings.Cut(w, "@"); timed && !strings.Contains(k, "=") {
			key, value = k, v
		}
		said[key] = value
	}
	obj := &unstructured.Unstructured{Object: map[string]any{"kind": kind}}
	obj.SetName(words[1])
	obj.SetNamespace("shop")
	obj.SetUID(types.UID("uid-" + words[1]))
	set := func(value any, path ...string) {
		require.NoError(t, unstructured.SetNestedField(obj.Object, value, path...))
	}
	if owner := said["of"]; owner != "" {
		set([]any{map[string]any{"uid": "uid-" + owner, "controller": true, "kind": "x", "name": owner, "apiVersion": "v1"}}, "metadata", "ownerReferences")
	}
	for key, annotation := range map[string]string{"version": versionKey, "commit": commitKey, "rev": "deployment.kubernetes.io/revision"} {
		if said[key] != "" && (kind == "ReplicaSet" || kind == "Deployment") {
			set(said[key], "metadata", "annotations", annotation)
		}
	}
	if said["created"] != "" {
		set(stampOf(t, said["created"]), "metadata", "creationTimestamp")
	}
	if said["deleted"] != "" {
		set(stampOf(t, said["deleted"]), "metadata", "deletionTimestamp")
	}
	switch kind {
	case "Pod":
		podLine(t, said, set)
	case "Service":
		serviceLine(t, said, set)
	case "ControllerRevision":
		set(templateOf(said), "data", "spec", "template")
		set("replace", "data", "spec", "template", "$patch")
		set(number(t, said["rev"]), "revision")
	case "ReplicaSet":
		set(templateOf(said), "spec", "template")
		set("x", "spec", "template", "metadata", "labels", "pod-template-hash")
		set(number(t, said["replicas"]), "status", "replicas")
	default:
		workloadLine(t, said, set)
	}
	return kind, obj
}

func workloadLine(t *testing.T, said map[string]string, set func(any, ...string)) {
	set(templateOf(said), "spec", "template")
	set(number(t, said["wanted"]), "spec", "replicas")
	if counts := strings.Split(said["status"], "/"); len(counts) == 3 {
		set(number(t, counts[0]), "status", "replicas")
		set(number(t, counts[1]), "status", "updatedReplicas")
		set(number(t, counts[2]), "status", "availableReplicas")
	}
	generation, observed, _ := strings.Cut(said["generation"], "/")
	set(number(t, generation), "metadata", "generation")
	set(number(t, observed), "status", "observedGeneration")
	if _, paused := said["paused"]; paused {
		set(true, "spec", "paused")
	}
	if _, by := said["ondelete"]; by {
		set("OnDelete", "spec", "updateStrategy", "type")
	}
	set(said["current"], "status", "currentRevision")
	set(said["update"], "status", "updateRevision")
	if reason, at, is := strings.Cut(said["progress"], "@"); is {
		set([]any{map[string]any{"type": "Progressing", "reason": reason, "lastUpdateTime": stampOf(t, at), "lastTransitionTime": stampOf(t, said["since"])}}, "status", "conditions")
	}
	if at := said["template"]; at != "" {
		set([]any{map[string]any{"manager": "kubectl", "time": stampOf(t, at), "fieldsV1": map[string]any{"f:spec": map[string]any{"f:template": map[string]any{}}}}}, "metadata", "managedFields")
	}
}

func podLine(t *testing.T, said map[string]string, set func(any, ...string)) {
	set("Running", "status", "phase")
	for key, value := range pairs(said["labels"]) {
		set(value, "metadata", "labels", key)
	}
	if said["hash"] != "" {
		set(said["hash"], "metadata", "labels", "controller-revision-hash")
	}
	set([]any{map[string]any{"type": "Ready", "status": "True", "lastTransitionTime": stampOf(t, said["ready"])}}, "status", "conditions")
	id := "sha256:" + strings.Repeat("0", 64) // that of a configuration, not of an image
	if said["image"] != "" {
		id = "docker-pullable://registry.example/api@sha256:" + strings.Repeat(said["image"], 32)
	}
	set([]any{map[string]any{"name": "sidecar", "imageID": "registry.example/proxy@sha256:" + strings.Repeat("c", 64)}, map[string]any{"name": "app", "imageID": id}}, "status", "containerStatuses")
}

func serviceLine(t *testing.T, said map[string]string, set func(any, ...string)) {
	for key, value := range pairs(said["select"]) {
		set(value, "spec", "selector", key)
	}
	set([]any{map[string]any{"manager": "kubectl", "time": stampOf(t, said["switched"]), "fieldsV1": map[string]any{"f:spec": map[string]any{"f:selector": map[string]any{}}}}}, "metadata", "managedFields")
}

func templateOf(said map[string]string) map[string]any {
	labels := map[string]any{}
	for key, value := range pairs(said["labels"]) {
		labels[key] = value
	}
	annotations := map[string]any{"kubectl.kubernetes.io/default-container": "app"}
	if said["restarted"] != "" {
		annotations["kubectl.kubernetes.io/restartedAt"] = said["restarted"]
	}
	return map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}, "spec": map[string]any{"containers": []any{
		map[string]any{"name": "sidecar", "image": "registry.example:5000/proxy:v9"}, map[string]any{"name": "app", "image": "registry.example:5000/api:" + said["image"]}}}}
}

func pairs(text string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if key, value, is := strings.Cut(pair, "="); is {
			all[key] = value
		}
	}
	return all
}

func stampOf(t *testing.T, minutes string) string {
	return midnight.Add(time.Duration(number(t, minutes)) * time.Minute).Format(time.RFC3339)
}

func number(t *testing.T, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

func TestImagesAreReadAsTheyAreWritten(t *testing.T) {
	pinned := "sha256:" + strings.Repeat("ab", 32)
	for image, tag := range map[string]string{
		"registry.example:5000/team/api:v42": "v42", "registry.example:5000/team/api": "", "api": "", "api:1.2.3@" + pinned: "1.2.3", "api@" + pinned: "",
	} {
		require.Equal(t, tag, tagOf(image), image)
	}
	require.Equal(t, pinned, imageDigest(template{image: "api:v1@" + pinned, container: "app"}, []*pod{{images: map[string]string{"app": "api@sha256:" + strings.Repeat("0", 64)}}}))
	require.Equal(t, "abcdef012345", shortDigest("sha256:abcdef0123456789"))
}

func TestWhatIsNotThereSaysSo(t *testing.T) {
	_, err := newScene().running(Ref{"Deployment", "shop", "api"})
	require.True(t, errors.Is(err, ErrAbsent))
}
