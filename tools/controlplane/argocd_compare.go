package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// comparison is what Git says, held against the cluster.
type comparison struct {
	revision, sync, health string
	resources              []any
}

// render reads the manifests of a commit and marks each object as the Application's own.
func (a *argocd) render(ctx context.Context, app application, mirror, commit, path string) ([]*unstructured.Unstructured, error) {
	key := fmt.Sprint(app.object.GetUID(), app.object.GetGeneration(), mirror, commit, path)
	if known, ok := a.rendered[key]; ok {
		return known, nil
	}
	path = firstOf(path, ".")
	tree, err := a.mirrors.extract(ctx, mirror, commit, path)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tree)
	text, err := a.build(ctx, filepath.Join(tree, path))
	if err != nil {
		return nil, err
	}
	objects, err := documents(text)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		app.own(o)
	}
	a.rendered[key] = objects
	return objects, nil
}

func (a *argocd) build(ctx context.Context, dir string) ([]byte, error) {
	if _, err := os.Stat(filepath.Join(dir, "kustomization.yaml")); err == nil {
		built, err := a.c.Kubectl(ctx, "", "kustomize", dir)
		return []byte(built), err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all.WriteString("---\n")
		all.Write(append(text, '\n'))
	}
	return all.Bytes(), nil
}

func documents(text []byte) ([]*unstructured.Unstructured, error) {
	objects := []*unstructured.Unstructured{}
	reader := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := reader.Decode(&o.Object)
		if err != nil && err.Error() == "EOF" {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// own gives the object its namespace and the annotation by which Argo CD knows it.
func (app application) own(o *unstructured.Unstructured) {
	namespace, _ := app.Spec.Destination["namespace"].(string)
	if o.GetNamespace() == "" && o.GetKind() != "Namespace" {
		o.SetNamespace(namespace)
	}
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["argocd.argoproj.io/tracking-id"] = fmt.Sprintf("%s:%s/%s:%s/%s",
		app.object.GetName(), o.GroupVersionKind().Group, o.GetKind(), o.GetNamespace(), o.GetName())
	o.SetAnnotations(annotations)
}

func (a *argocd) compare(ctx context.Context, app application) (comparison, error) {
	from := app.Spec.Source
	fetch := a.mirrors.recent
	if app.asked() {
		fetch = a.mirrors.fetch
	}
	mirror, revision, err := fetch(ctx, from.RepoURL, from.TargetRevision)
	if err != nil {
		return comparison{}, err
	}
	objects, err := a.render(ctx, app, mirror, revision, from.Path)
	if err != nil {
		return comparison{}, err
	}
	found := comparison{revision: revision, sync: "Synced", health: "Healthy"}
	for _, o := range objects {
		state, health, err := a.look(ctx, app, revision, o)
		if err != nil {
			return comparison{}, err
		}
		if state != "Synced" {
			found.sync = state
		}
		found.health = worse(found.health, health)
		found.resources = append(found.resources, resource(o, state, health))
	}
	return found, nil
}

func resource(o *unstructured.Unstructured, state, health string) map[string]any {
	kind := o.GroupVersionKind()
	return map[string]any{"group": kind.Group, "version": kind.Version, "kind": kind.Kind, "namespace": o.GetNamespace(),
		"name": o.GetName(), "status": state, "health": map[string]any{"status": health}}
}

// verdict is what look said of one state of a live object.
type verdict struct{ state, health string }

// look says whether the live object is as Git has it, by a dry run of what a sync would do, and how it is.
func (a *argocd) look(ctx context.Context, app application, revision string, want *unstructured.Unstructured) (state, health string, err error) {
	live, err := a.c.live(ctx, want)
	if apierrors.IsNotFound(err) {
		return "OutOfSync", "Missing", nil
	}
	if err != nil {
		return "", "", err
	}
	key := fmt.Sprint(live.GetUID(), live.GetResourceVersion(), app.object.GetUID(), app.object.GetGeneration(), revision)
	if known, ok := a.looked[key]; ok {
		return known.state, known.health, nil
	}
	after, err := a.apply(ctx, app, want, "--dry-run=server")
	if err != nil {
		return "", "", err
	}
	state = "Synced"
	if !bytes.Equal(spec(live), spec(after)) {
		state = "OutOfSync"
	}
	a.looked[key] = verdict{state, healthOf(live)}
	return state, healthOf(live), nil
}

// spec is an object without what the API server and the status' writers add, in one form.
func spec(o *unstructured.Unstructured) []byte {
	bare := o.DeepCopy().Object
	delete(bare, "status")
	unstructured.RemoveNestedField(bare, "metadata", "managedFields")
	unstructured.RemoveNestedField(bare, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(bare, "metadata", "generation")
	unstructured.RemoveNestedField(bare, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	text, _ := json.Marshal(bare)
	return text
}

// healthOf gives Argo CD's words for a status.
func healthOf(o *unstructured.Unstructured) string {
	result, err := status.Compute(o)
	switch {
	case err != nil:
		return "Unknown"
	case result.Status == status.CurrentStatus:
		return "Healthy"
	case result.Status == status.FailedStatus:
		return "Degraded"
	}
	return "Progressing"
}

func worse(a, b string) string {
	order := "Healthy Progressing Unknown Missing Degraded"
	if strings.Index(order, b) > strings.Index(order, a) {
		return b
	}
	return a
}

func (found comparison) differing() []any {
	differing := []any{}
	for _, r := range found.resources {
		if r := r.(map[string]any); r["status"] != "Synced" {
			differing = append(differing, map[string]any{"group": r["group"], "kind": r["kind"], "namespace": r["namespace"], "name": r["name"]})
		}
	}
	return differing
}

func (found comparison) status(app application) map[string]any {
	now := time.Now().UTC().Format(time.RFC3339)
	return map[string]any{
		"sync": map[string]any{"status": found.sync, "revision": found.revision,
			"comparedTo": map[string]any{"source": app.Spec.Source, "destination": app.Spec.Destination}},
		"health":    map[string]any{"status": found.health},
		"resources": found.resources, "conditions": []any{}, "reconciledAt": now, "sourceType": "Directory",
	}
}

// same says that the status says all this already.
func (found comparison) same(app application) bool {
	state, _, _ := unstructured.NestedString(app.object.Object, "status", "sync", "status")
	revision, _, _ := unstructured.NestedString(app.object.Object, "status", "sync", "revision")
	health, _, _ := unstructured.NestedString(app.object.Object, "status", "health", "status")
	resources, _, _ := unstructured.NestedSlice(app.object.Object, "status", "resources")
	conditions, _, _ := unstructured.NestedSlice(app.object.Object, "status", "conditions")
	return state == found.sync && revision == found.revision && health == found.health && len(conditions) == 0 &&
		reflect.DeepEqual(resources, found.resources)
}
