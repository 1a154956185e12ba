package clustertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/managedfields/managedfieldstest"
	"sigs.k8s.io/yaml"
)

func (s *Server) doCreate(q request) (map[string]any, error) {
	u, err := decode(q.Body)
	if err != nil {
		return nil, err
	}
	return s.create(q, u, q.manager())
}

func (q request) manager() string {
	if q.Manager != "" {
		return q.Manager
	}
	return "Go-http-client"
}

func (s *Server) create(q request, u *unstructured.Unstructured, manager string) (map[string]any, error) {
	if u.GroupVersionKind() != q.kind.gvk() {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in %s does not match the path", u.GetKind(), u.GetAPIVersion()))
	}
	if u.GetName() == "" && u.GetGenerateName() != "" {
		u.SetName(fmt.Sprintf("%s%05d", u.GetGenerateName(), s.born))
	}
	if !q.kind.Cluster {
		if s.find("Namespace", "", q.Namespace) == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, q.Namespace)
		}
		u.SetNamespace(q.Namespace)
	}
	if s.objects[key(q.kind, q.Namespace, u.GetName())] != nil {
		return nil, apierrors.NewAlreadyExists(q.kind.resource(), u.GetName())
	}
	if u.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	u.SetUID("")
	if len(q.kind.Subs) > 0 {
		delete(u.Object, "status")
	}
	setDefaults(q.kind, u)
	if err := check(q.kind, nil, u); err != nil {
		return nil, err
	}
	if q.DryRun {
		dry := u.DeepCopy()
		dry.SetUID(uid(999999999999))
		return dry.Object, nil
	}
	o := s.insert(q.kind, u, manager)
	s.wrote(q, u.GetName())
	return o.DeepCopy().Object, nil
}

func (s *Server) wrote(q request, name string) {
	s.writes = append(s.writes, fmt.Sprintf("%s %s %s", q.Verb, q.Resource, strings.TrimPrefix(q.Namespace+"/"+name, "/")))
	s.reconcile()
}

// doWrite serves PUT and every PATCH, of an object or of its subresource.
func (s *Server) doWrite(q request) (map[string]any, error) {
	o := s.objects[key(q.kind, q.Namespace, q.Name)]
	applies := q.ContentType == string(types.ApplyPatchType)
	if o == nil && applies && q.sub == "" {
		return s.applyNew(q)
	}
	if o == nil {
		return nil, apierrors.NewNotFound(q.kind.resource(), q.Name)
	}
	var after *unstructured.Unstructured
	var err error
	if applies {
		after, err = s.applied(q, o.Unstructured)
	} else {
		after, err = s.patched(q, o.Unstructured)
	}
	if err != nil {
		return nil, err
	}
	return s.finish(q, o, after, applies)
}

// finish checks what a write made of an object, and stores it.
func (s *Server) finish(q request, o *object, after *unstructured.Unstructured, applied bool) (map[string]any, error) {
	fence, id := after.GetResourceVersion(), after.GetUID()
	switch {
	case id != "" && id != o.GetUID():
		return nil, apierrors.NewConflict(q.kind.resource(), q.Name, fmt.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", id, o.GetUID()))
	case fence != "" && fence != o.GetResourceVersion():
		return nil, apierrors.NewConflict(q.kind.resource(), q.Name, fmt.Errorf("the object has been modified; please apply your changes to the latest version and try again"))
	case after.GetName() != q.Name || after.GetNamespace() != o.GetNamespace():
		return nil, apierrors.NewBadRequest("the name of the object does not match the name on the URL")
	}
	keep(o.Unstructured, after, q)
	setDefaults(q.kind, after)
	if err := check(q.kind, o.Unstructured, after); err != nil {
		return nil, err
	}
	is := &object{o.kind, o.DeepCopy()}
	version := s.version
	var changed bool
	if applied {
		if changed = !same(o.Unstructured, after) || fmt.Sprint(sets(o.Unstructured)) != fmt.Sprint(sets(after)); changed {
			if o.kind.Counted && differ(o.Unstructured, after, "spec") {
				after.SetGeneration(o.GetGeneration() + 1)
			}
			is.Unstructured = after
			s.touch(is)
		}
	} else {
		changed = s.replace(is, after, q.manager())
	}
	out := is.DeepCopy()
	if q.DryRun {
		s.version = version
		out.SetResourceVersion(o.GetResourceVersion())
	} else if changed {
		o.Unstructured = is.Unstructured
		s.wrote(q, q.Name)
	}
	if q.sub == "scale" {
		return scaleOf(out), nil
	}
	return out.Object, nil
}

// sets is who set which fields, without the times.
func sets(u *unstructured.Unstructured) []string {
	var all []string
	for _, f := range u.GetManagedFields() {
		all = append(all, f.Manager, string(f.Operation), f.FieldsV1.GetRawString())
	}
	return all
}

// keep puts back what the addressed resource may not write: the status by way of the object, all else by way of the status,
// and what the API alone sets.
func keep(before, after *unstructured.Unstructured, q request) {
	hasStatus := len(q.kind.Subs) > 0 && q.kind.Subs[0] == "status"
	switch {
	case q.sub == "status":
		made := nested(after, "status")
		restore := before.DeepCopy()
		after.Object = restore.Object
		after.Object["status"] = made
	case hasStatus && before.Object["status"] != nil:
		after.Object["status"] = before.DeepCopy().Object["status"]
	case hasStatus:
		delete(after.Object, "status")
	}
	after.SetUID(before.GetUID())
	after.SetResourceVersion(before.GetResourceVersion())
	after.SetGeneration(before.GetGeneration())
	if at := nested(before, "metadata", "creationTimestamp"); at != nil {
		_ = unstructured.SetNestedField(after.Object, at, "metadata", "creationTimestamp")
	}
	if at := nested(before, "metadata", "deletionTimestamp"); at != nil {
		_ = unstructured.SetNestedField(after.Object, at, "metadata", "deletionTimestamp")
	}
}

// patched is what PUT, a JSON Patch or a merge patch makes of an object.
func (s *Server) patched(q request, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	from := live
	if q.sub == "scale" {
		from = &unstructured.Unstructured{Object: scaleOf(live)}
	}
	raw, err := json.Marshal(from.Object)
	if err != nil {
		return nil, err
	}
	switch kind, _, _ := strings.Cut(q.ContentType, ";"); {
	case q.Verb == "update":
		raw = q.Body
	case kind == string(types.JSONPatchType):
		raw, err = jsonPatch(raw, q.Body)
	case kind == string(types.MergePatchType):
		if raw, err = jsonpatch.MergePatch(raw, q.Body); err != nil {
			err = apierrors.NewBadRequest(err.Error())
		}
	default:
		err = &apierrors.StatusError{ErrStatus: apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "patch", q.kind.resource(), q.Name, "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml", 0, true).ErrStatus}
	}
	if err != nil {
		return nil, err
	}
	made, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if q.sub == "scale" {
		return scaledTo(live, made), nil
	}
	return made, nil
}

func scaledTo(live, scale *unstructured.Unstructured) *unstructured.Unstructured {
	after := live.DeepCopy()
	replicas := nested(scale, "spec", "replicas")
	if replicas == nil {
		replicas = int64(0)
	}
	_ = unstructured.SetNestedField(after.Object, replicas, "spec", "replicas")
	after.SetResourceVersion(scale.GetResourceVersion())
	after.SetUID(scale.GetUID())
	return after
}

// jsonPatch fails as the real one does: a test that does not hold is 422 without causes.
func jsonPatch(raw, body []byte) ([]byte, error) {
	patch, err := jsonpatch.DecodePatch(body)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	made, err := patch.Apply(raw)
	if err != nil {
		return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	return made, nil
}

func (s *Server) applyNew(q request) (map[string]any, error) {
	create := q.Call
	create.Verb, create.Name = "create", ""
	if !s.allows(create) {
		asked := q
		asked.Call = create
		return nil, s.forbidden(asked)
	}
	blank := &unstructured.Unstructured{Object: map[string]any{}}
	blank.SetGroupVersionKind(q.kind.gvk())
	blank.SetName(q.Name)
	blank.SetNamespace(q.Namespace)
	made, err := s.applied(q, blank)
	if err != nil {
		return nil, err
	}
	if made.GetResourceVersion() != "" {
		return nil, apierrors.NewConflict(q.kind.resource(), q.Name, fmt.Errorf("the object does not exist, yet a resourceVersion was given"))
	}
	fields := made.GetManagedFields()
	out, err := s.create(q, made, q.manager())
	if err == nil && !q.DryRun {
		s.objects[key(q.kind, q.Namespace, q.Name)].SetManagedFields(fields)
	}
	return out, err
}

// applied merges an applied configuration by the real algorithm, as for a kind without a schema: lists are atomic.
func (s *Server) applied(q request, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if q.Manager == "" {
		return nil, apierrors.NewBadRequest("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch")
	}
	var content map[string]any
	if err := yaml.Unmarshal(q.Body, &content); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	wanted := &unstructured.Unstructured{Object: plain(content)}
	fence, id := wanted.GetResourceVersion(), wanted.GetUID()
	wanted.SetResourceVersion("")
	fields := managedfieldstest.NewFakeFieldManager(managedfields.NewDeducedTypeConverter(), q.kind.gvk())
	merged, err := fields.Apply(live.DeepCopy(), wanted, q.Manager, q.query.Get("force") == "true")
	if err != nil {
		return nil, err
	}
	after := merged.(*unstructured.Unstructured)
	after.SetResourceVersion(fence)
	if id != "" {
		after.SetUID(id)
	}
	return after, nil
}

func (s *Server) doDelete(q request) (map[string]any, error) {
	o, err := s.stored(q)
	if err != nil {
		return nil, err
	}
	var options struct {
		Preconditions struct{ UID, ResourceVersion string } `json:"preconditions"`
		DryRun        []string                              `json:"dryRun"`
	}
	if len(q.Body) > 0 {
		if err := json.Unmarshal(q.Body, &options); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	pre := options.Preconditions
	if pre.UID != "" && pre.UID != string(o.GetUID()) || pre.ResourceVersion != "" && pre.ResourceVersion != o.GetResourceVersion() {
		return nil, apierrors.NewConflict(q.kind.resource(), q.Name, fmt.Errorf("the precondition failed"))
	}
	if !q.DryRun && len(options.DryRun) == 0 {
		s.end(o)
		s.wrote(q, q.Name)
	}
	return o.DeepCopy().Object, nil
}

// end deletes an object; a pod that takes its time to end, and what has finalizers, is marked first.
func (s *Server) end(o *object) {
	if len(o.GetFinalizers()) == 0 && !lingers(o) {
		s.remove(o)
		return
	}
	if o.GetDeletionTimestamp() == nil {
		_ = unstructured.SetNestedField(o.Object, time.Now().UTC().Format(time.RFC3339), "metadata", "deletionTimestamp")
		s.touch(o)
	}
}
