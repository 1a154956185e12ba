package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/csaupgrade"

	"astern.dev/astern/actions/cluster"
)

const (
	ours          = "astern" // the manager of what astern writes by patch
	clientSide    = "kubectl-client-side-apply"
	serverSide    = "kubectl" // the same person's hand, on the server's side
	lastApplied   = "kubectl.kubernetes.io/last-applied-configuration"
	handTools     = "kubectl-edit kubectl-set kubectl-patch kubectl-rollout kubectl-scale kubectl-label kubectl-annotate kubectl-replace"
	controllers   = "kube-controller-manager"
	whichManagers = "name the one that applied the bad version with `manager`; with another one what it added would stay"
)

// appliedBy says as which manager to apply. Server-side apply takes away what a manager applied before and applies no
// longer, and nothing else: under a name of our own the variable or the sidecar that the bad version brought would stay.
func (s *set) appliedBy() (string, error) {
	if s.r.Manager != "" {
		name := serverSideOf(s.r.Manager)
		return name, s.didApply(name)
	}
	found := map[string][]string{}
	for _, it := range s.judged() {
		names := appliers(it.owners)
		if len(names) == 0 {
			return "", fmt.Errorf("%s: nobody is known to have applied it; %s", it.ref, whichManagers)
		}
		for _, name := range names {
			found[name] = append(found[name], it.ref.String())
		}
	}
	names := sorted(found)
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		return "", fmt.Errorf("none of the %d objects is there, so who applies them cannot be read: set `manager`", len(s.items))
	}
	var each []string
	for _, name := range names {
		each = append(each, fmt.Sprintf("%s (%s)", name, strings.Join(found[name], ", ")))
	}
	return "", fmt.Errorf("several managers applied the objects: %s; %s", strings.Join(each, "; "), whichManagers)
}

// judged are the objects that say who applies the set: the workloads, and where there are none all that are there.
func (s *set) judged() []*item {
	var workloads, all []*item
	for _, it := range s.items {
		if it.live == nil {
			continue
		}
		all = append(all, it)
		if table[it.goal.GetKind()].rank == workload {
			workloads = append(workloads, it)
		}
	}
	if len(workloads) > 0 {
		return workloads
	}
	return all
}

// appliers are the managers that may have applied an object. Who applies on the server's side goes before who writes by
// update, and a client-side apply leaves its mark; what a person's tools touched later does not make them appliers.
func appliers(owners []owner) []string {
	names := map[string]bool{}
	take := func(of func(owner) bool) bool {
		for _, o := range owners {
			if o.subresource == "" && o.manager != ours && o.manages() && of(o) {
				names[serverSideOf(o.manager)] = true
			}
		}
		return len(names) > 0
	}
	byHand := func(o owner) bool { return slices.Contains(strings.Fields(handTools+" "+controllers), o.manager) }
	_ = take(func(o owner) bool { return o.applies }) ||
		take(func(o owner) bool { return o.owns("f:metadata", "f:annotations", "f:"+lastApplied) }) ||
		take(func(o owner) bool { return !byHand(o) }) ||
		take(func(o owner) bool { return !o.applies && o.manager != controllers })
	return sorted(names)
}

// serverSideOf is the name under which a client-side manager applies on the server's side.
func serverSideOf(manager string) string {
	if manager == clientSide {
		return serverSide
	}
	return manager
}

// didApply holds a manager that the step names to what the workloads say.
func (s *set) didApply(name string) error {
	for _, it := range s.judged() {
		if !slices.ContainsFunc(it.owners, func(o owner) bool { return o.subresource == "" && serverSideOf(o.manager) == name && o.manages() }) {
			return fmt.Errorf("%s was not applied by %s but by %s; %s", it.ref, name, strings.Join(appliers(it.owners), ", "), whichManagers)
		}
	}
	return nil
}

// adopts lists whose fields become the manager's before it applies: what it wrote itself by update, as a client-side apply
// does, and what managers under `force` wrote so. Server-side apply could not take away what they added.
func (s *set) adopts(it *item) {
	it.adopt = nil
	for _, o := range it.owners {
		mine := serverSideOf(o.manager) == s.manager || slices.Contains(s.r.Force, o.manager)
		if mine && !o.applies && o.subresource == "" && (o.manages() || o.owns("f:metadata")) {
			it.adopt = append(it.adopt, o.manager)
		}
	}
	slices.Sort(it.adopt)
	it.adopt = slices.Compact(it.adopt)
}

// mine says whether the manager has, or will have, a field for itself.
func (s *set) mine(it *item, o owner) bool {
	return o.manager == s.manager && o.applies || !o.applies && o.subresource == "" && slices.Contains(it.adopt, o.manager)
}

// goes lists what the adopted managers wrote and the goal does not have, unless somebody else holds it, too.
func (s *set) goes(it *item) [][]string {
	var gone [][]string
	for _, o := range it.owners {
		if o.applies || !s.mine(it, o) {
			continue
		}
		for _, path := range o.added(it.live.Object, it.body.Object) {
			held := func(other owner) bool { return !s.mine(it, other) && other.owns(path...) }
			if !slices.ContainsFunc(it.owners, held) {
				gone = append(gone, path)
			}
		}
	}
	return gone
}

// adopted is what the server would make of the object once the fields are the manager's. As that cannot be tried in one
// request, the fields that go are taken out here, and the server fills in its defaults.
func (s *set) adopted(ctx context.Context, it *item, after *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if len(it.adopt) == 0 {
		return after, nil
	}
	gone := s.goes(it)
	if len(gone) == 0 {
		return after, nil
	}
	want := without(after, gone)
	ops := []cluster.Op{{Op: "test", Path: "/metadata/uid", Value: string(it.live.GetUID())}}
	for _, field := range slices.Sorted(maps.Keys(it.live.Object)) {
		if content(field) && want.Object[field] == nil {
			ops = append(ops, cluster.Op{Op: "remove", Path: "/" + field})
		}
	}
	for _, field := range sorted(want.Object) {
		if content(field) {
			ops = append(ops, cluster.Op{Op: "add", Path: "/" + field, Value: want.Object[field]})
		}
	}
	if labels, is := cluster.Below(want.Object, "metadata")["labels"]; is {
		ops = append(ops, cluster.Op{Op: "add", Path: "/metadata/labels", Value: labels})
	}
	if annotations, is := cluster.Below(want.Object, "metadata")["annotations"]; is {
		ops = append(ops, cluster.Op{Op: "add", Path: "/metadata/annotations", Value: annotations})
	}
	return s.cluster.JSONPatch(ctx, it.ref, ops, cluster.PatchOptions{DryRun: true, Manager: s.manager})
}

// content says whether a field of an object holds what a manifest is about.
func content(field string) bool {
	return !slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, field)
}

// adoption is the patch that makes the adopted fields the manager's, as `kubectl apply --server-side` does.
func (s *set) adoption(it *item) ([]cluster.Op, error) {
	moved := it.live.DeepCopy()
	if err := csaupgrade.UpgradeManagedFields(moved, sets.New(it.adopt...), s.manager); err != nil {
		return nil, fmt.Errorf("take over the fields of %s: %w", it.ref, err)
	}
	return append(cluster.Fence(it.live), cluster.Op{Op: "replace", Path: "/metadata/managedFields", Value: moved.GetManagedFields()}), nil
}

// recorded keeps the record of a client-side apply in step: from it the next one reckons what to take away. It would go,
// once it is the manager's, if it were not applied.
func (s *set) recorded(it *item) {
	if it.live == nil || it.live.GetAnnotations()[lastApplied] == "" {
		return
	}
	keeps := func(o owner) bool { return s.mine(it, o) && o.owns("f:metadata", "f:annotations", "f:"+lastApplied) }
	if slices.ContainsFunc(it.owners, keeps) {
		add(it.body, "annotations", map[string]string{lastApplied: record(it.goal)})
	}
}

func record(goal *unstructured.Unstructured) string {
	raw, err := json.Marshal(goal.Object)
	if err != nil { // it was decoded from JSON
		panic(err)
	}
	return string(raw) + "\n"
}

// clean writes the record once more where the server has written one by itself, as it does for kubectl: that one holds our
// fence, too. Somebody's newer record stays.
func (s *set) clean(ctx context.Context, it *item, after *unstructured.Unstructured) error {
	was, want := after.GetAnnotations()[lastApplied], record(it.goal)
	if was == "" || was == it.live.GetAnnotations()[lastApplied] || was == want || it.body.GetAnnotations()[lastApplied] == "" {
		return nil
	}
	at := "/metadata/annotations/" + strings.ReplaceAll(lastApplied, "/", "~1")
	_, err := s.cluster.JSONPatch(ctx, it.ref, []cluster.Op{
		{Op: "test", Path: "/metadata/uid", Value: string(after.GetUID())}, {Op: "test", Path: at, Value: was}, {Op: "replace", Path: at, Value: want},
	}, cluster.PatchOptions{Manager: clientSide})
	if errors.Is(err, cluster.ErrMoved) {
		return nil
	}
	return err
}

// stays says which fields the goal does not have and that go on all the same, as somebody else wrote them.
func (s *set) stays(it *item) {
	for _, o := range it.owners {
		if s.mine(it, o) && !o.applies && o.manages() {
			it.note("what %s wrote by update becomes %s's, so that what is no longer in the manifests goes", o.manager, s.manager)
		}
		if s.mine(it, o) || o.manager == ours || o.subresource != "" {
			continue
		}
		for _, path := range o.added(it.live.Object, it.body.Object) {
			if text := shown(path); text != "spec.replicas" && path[0] != "f:metadata" {
				it.note("%s stays: it is %s's", text, o)
			}
		}
	}
}

// unheld says which keys of a Secret nobody holds: what was applied as stringData the server keeps as data, and no apply
// takes it away again.
func (it *item) unheld() {
	if it.live == nil || it.ref.Kind != "Secret" {
		return
	}
	for _, key := range sorted(cluster.Below(it.live.Object, "data")) {
		_, asData := cluster.Below(it.body.Object, "data")[key]
		_, asText := cluster.Below(it.body.Object, "stringData")[key]
		held := func(o owner) bool { return o.owns("f:data", "f:"+key) }
		if !asData && !asText && !slices.ContainsFunc(it.owners, held) {
			it.note("data.%s stays: it was applied as stringData, which leaves nobody to take it away; remove it by hand", key)
		}
	}
}
