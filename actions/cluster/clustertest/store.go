package clustertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/managedfields/managedfieldstest"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// object is one stored object.
type object struct {
	kind Kind
	*unstructured.Unstructured
}

func key(k Kind, namespace, name string) string {
	return k.Plural + "." + k.Group + "/" + namespace + "/" + name
}

// Add stores objects as they are written in YAML, status included, as an administrator's tools and controllers did before the
// test began. The namespace default is taken where none is written.
func (s *Server) Add(manifests string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range strings.Split(manifests, "\n---\n") {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(text), &content); err != nil {
			panic(fmt.Sprintf("%v in %s", err, text))
		}
		if content != nil {
			s.add(&unstructured.Unstructured{Object: plain(content)})
		}
	}
	s.reconcile()
}

// plain gives the same content with the number types that a decoder of the API makes.
func plain(content map[string]any) map[string]any {
	raw, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		panic(fmt.Sprintf("%v in %s", err, raw))
	}
	return u.Object
}

func (s *Server) add(u *unstructured.Unstructured) *object {
	k, ok := s.kind(u.GetKind())
	if group := u.GroupVersionKind().Group; group != "" {
		k, ok = s.kind(u.GetKind() + "." + group)
	}
	if !ok {
		panic("the API has no kind " + u.GetKind())
	}
	if !k.Cluster && u.GetNamespace() == "" {
		u.SetNamespace("default")
	}
	setDefaults(k, u)
	return s.insert(k, u, "setup")
}

// insert gives an object what the API gives a new one.
func (s *Server) insert(k Kind, u *unstructured.Unstructured, manager string) *object {
	s.born++
	if u.GetUID() == "" {
		u.SetUID(uid(s.born))
	}
	if nested(u, "metadata", "creationTimestamp") == nil {
		_ = unstructured.SetNestedField(u.Object, time.Now().UTC().Format(time.RFC3339), "metadata", "creationTimestamp")
	}
	if k.Counted && u.GetGeneration() == 0 {
		u.SetGeneration(1)
	}
	o := &object{k, s.managed(k, nil, u, manager)}
	s.touch(o)
	s.objects[key(k, u.GetNamespace(), u.GetName())] = o
	return o
}

func (s *Server) touch(o *object) {
	s.version++
	o.SetResourceVersion(strconv.FormatInt(s.version, 10))
}

// managed keeps the list of who set which field.
func (s *Server) managed(k Kind, before, after *unstructured.Unstructured, manager string) *unstructured.Unstructured {
	if before == nil {
		before = &unstructured.Unstructured{Object: map[string]any{}}
		before.SetGroupVersionKind(k.gvk())
	}
	fields := managedfieldstest.NewFakeFieldManager(managedfields.NewDeducedTypeConverter(), k.gvk())
	out := fields.UpdateNoErrors(before.DeepCopy(), after.DeepCopy(), manager)
	return out.(*unstructured.Unstructured)
}

// Get is an object as it is stored, or nil. Kind may carry its group: Kustomization.kustomize.toolkit.fluxcd.io.
func (s *Server) Get(kind, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.find(kind, namespace, name)
	if o == nil {
		return nil
	}
	return o.DeepCopy()
}

// All are the objects of a kind in a namespace that a selector chooses, by name.
func (s *Server) All(kind, namespace, selector string) []*unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	chosen, err := labels.Parse(selector)
	if err != nil {
		panic(err)
	}
	k, _ := s.kind(kind)
	var all []*unstructured.Unstructured
	for _, o := range s.list(k, namespace, chosen) {
		all = append(all, o.DeepCopy())
	}
	return all
}

func (s *Server) find(kind, namespace, name string) *object {
	k, ok := s.kind(kind)
	if !ok {
		panic("the API has no kind " + kind)
	}
	return s.objects[key(k, namespace, name)]
}

func (s *Server) list(k Kind, namespace string, chosen labels.Selector) []*object {
	var all []*object
	for _, at := range slices.Sorted(maps.Keys(s.objects)) {
		o := s.objects[at]
		if o.kind.resource() == k.resource() && (namespace == "" || o.GetNamespace() == namespace) && chosen.Matches(labels.Set(o.GetLabels())) {
			all = append(all, o)
		}
	}
	return all
}

// Change alters an object as another client of the API does: it has a new resourceVersion, and a new generation where the
// spec changed. The manager of the fields is "somebody".
func (s *Server) Change(kind, namespace, name string, change func(content map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(kind, namespace, name, "somebody", change)
	s.reconcile()
}

func (s *Server) change(kind, namespace, name, manager string, change func(content map[string]any)) {
	o := s.find(kind, namespace, name)
	if o == nil {
		panic(fmt.Sprintf("there is no %s %s/%s", kind, namespace, name))
	}
	after := o.DeepCopy()
	change(after.Object)
	after.Object = plain(after.Object)
	s.replace(o, after, manager)
}

// replace stores a changed object; the same content again is no change. It says whether there was one.
func (s *Server) replace(o *object, after *unstructured.Unstructured, manager string) bool {
	if same(o.Unstructured, after) && (len(after.GetManagedFields()) == 0 || slices.Equal(sets(o.Unstructured), sets(after))) {
		return false
	}
	if o.kind.Counted && (differ(o.Unstructured, after, "spec") || o.kind.Kind == "Deployment" && differ(o.Unstructured, after, "metadata", "annotations")) {
		after.SetGeneration(o.GetGeneration() + 1)
	}
	o.Unstructured = s.managed(o.kind, o.Unstructured, after, manager)
	s.touch(o)
	return true
}

// Remove deletes an object at once, as another client does.
func (s *Server) Remove(kind, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.find(kind, namespace, name); o != nil {
		s.remove(o)
	}
	s.reconcile()
}

func (s *Server) remove(o *object) { delete(s.objects, key(o.kind, o.GetNamespace(), o.GetName())) }

// Writes are the changes that clients made through the API, in order; what changed nothing is not among them.
func (s *Server) Writes() []string { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.writes) }

// State describes every object but what the API itself counts, and how many changes clients made.
func (s *Server) State() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, at := range slices.Sorted(maps.Keys(s.objects)) {
		lines = append(lines, text(s.objects[at].Unstructured))
	}
	return strings.Join(append(lines, fmt.Sprintf("%d writes", len(s.writes))), "\n")
}

// text is the content of an object without what changes with every write.
func text(u *unstructured.Unstructured) string {
	bare := u.DeepCopy()
	bare.SetManagedFields(nil)
	bare.SetResourceVersion("")
	raw, err := json.Marshal(bare.Object)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func same(a, b *unstructured.Unstructured) bool { return text(a) == text(b) }

func differ(a, b *unstructured.Unstructured, path ...string) bool {
	return fmt.Sprint(nested(a, path...)) != fmt.Sprint(nested(b, path...))
}

func nested(u *unstructured.Unstructured, path ...string) any {
	value, _, err := unstructured.NestedFieldNoCopy(u.Object, path...)
	if err != nil {
		return nil
	}
	return value
}
