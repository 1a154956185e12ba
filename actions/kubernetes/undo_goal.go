package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	hashLabel      = "pod-template-hash"
	revisionLabel  = "controller-revision-hash"
	revisionNumber = "deployment.kubernetes.io/revision"
	// listedGoals bounds how many revisions an error names.
	listedGoals = 12
)

var goalForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func checkDigest(field, value string) error {
	if !goalForm.MatchString(value) {
		return fmt.Errorf(`%s: %.80q is no digest "sha256:…": name the version by its template (${release.previous.vars.template}) or its image's digest`, field, value)
	}
	return nil
}

// revision is a template that a workload had, as its controller keeps it.
type revision struct {
	name, uid string
	// hash is what the label of its pods says.
	hash        string
	number      int64
	created     time.Time
	annotations map[string]string
	template    map[string]any
	digest      string
	// running are the digests of the images that its pods run, by container.
	running map[string]string
}

// revisions reads what the workload ran, newest first.
func (r rollout) revisions(ctx context.Context, c *cluster.Cluster) ([]revision, error) {
	kind, read := "ControllerRevision", r.controllerRevision
	if r.ref.Kind == deployment {
		kind, read = "ReplicaSet", replicaSet
	}
	objects, err := r.owned(ctx, c, kind)
	if err != nil {
		return nil, err
	}
	var all []revision
	for _, o := range objects {
		one := read(o)
		if one.digest, err = cluster.TemplateDigest(one.template); err == nil {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b revision) int {
		return cmp.Or(cmp.Compare(b.number, a.number), b.created.Compare(a.created), cmp.Compare(a.name, b.name))
	})
	return all, nil
}

func replicaSet(o unstructured.Unstructured) revision {
	template, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
	number, _ := strconv.ParseInt(o.GetAnnotations()[revisionNumber], 10, 64)
	one := revision{name: o.GetName(), uid: string(o.GetUID()), hash: o.GetLabels()[hashLabel], number: number,
		created: o.GetCreationTimestamp().Time, annotations: o.GetAnnotations(), template: template}
	unstructured.RemoveNestedField(template, "metadata", "labels", hashLabel)
	return one
}

// controllerRevision reads a strategic merge patch that replaces the template. A StatefulSet's pods bear the revision's
// name, a DaemonSet's the hash at the end of it.
func (r rollout) controllerRevision(o unstructured.Unstructured) revision {
	template, _, _ := unstructured.NestedMap(o.Object, "data", "spec", "template")
	delete(template, "$patch")
	number, _, _ := unstructured.NestedInt64(o.Object, "revision")
	hash := o.GetName()
	if r.ref.Kind == daemonSet {
		hash = cmp.Or(o.GetLabels()[revisionLabel], strings.TrimPrefix(hash, r.ref.Name+"-"))
	}
	return revision{name: o.GetName(), uid: string(o.GetUID()), hash: hash, number: number,
		created: o.GetCreationTimestamp().Time, annotations: o.GetAnnotations(), template: template}
}

// withImages adds which images the pods of each revision run.
func withImages(all []revision, pods []rolloutPod) {
	for n := range all {
		all[n].running = map[string]string{}
		for _, p := range pods {
			if p.hash == all[n].hash {
				p.images(all[n].running)
			}
		}
	}
}

// is says whether a version is meant: by the digest of its template, or by that of an image pinned in it or run by its pods.
func (v revision) is(wanted string) bool {
	if v.digest == wanted || pins(v.template, wanted) {
		return true
	}
	for _, running := range v.running {
		if running == wanted {
			return true
		}
	}
	return false
}

func pins(template map[string]any, wanted string) bool {
	return slices.ContainsFunc(containers(template), func(c templateContainer) bool { return strings.HasSuffix(c.image, "@"+wanted) })
}

// goal is the newest revision that `to` means: a template digest is looked for before an image's.
func goal(all []revision, to string) (revision, bool) {
	for _, fits := range []func(revision) bool{func(v revision) bool { return v.digest == to }, func(v revision) bool { return v.is(to) }} {
		if at := slices.IndexFunc(all, fits); at >= 0 {
			return all[at], true
		}
	}
	return revision{}, false
}

// noGoal says which versions there are to go back to.
func noGoal(r rollout, all []revision, to string, now time.Time) error {
	var there []string
	for _, v := range all {
		mark := ""
		if v.digest == r.digest() {
			mark = ", runs now"
		}
		there = append(there, fmt.Sprintf("revision %d (template %s, %s, %s old%s)", v.number, v.digest, strings.Join(v.images(), " "), age(now.Sub(v.created)), mark))
	}
	if len(there) > listedGoals {
		there = append(there[:listedGoals], fmt.Sprintf("and %d more", len(there)-listedGoals))
	}
	if len(there) == 0 {
		there = []string{"none"}
	}
	return actions.Permanent(fmt.Errorf("undo %s: no revision with template or image %s is kept (revisionHistoryLimit, or it never ran here); there are: %s; apply its manifest out of Git (manifest/revert), or deploy it anew",
		r.ref, to, strings.Join(there, "; ")))
}

func (v revision) images() []string {
	var all []string
	for _, c := range containers(v.template) {
		all = append(all, c.shown(v.running))
	}
	return all
}

func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d minutes", max(0, int(d.Minutes())))
}

// templateContainer is what concerns a rollout of a container in a template.
type templateContainer struct {
	field, name, image string
	fields             map[string]any
}

func (c templateContainer) shown(running map[string]string) string {
	if digest := running[c.name]; digest != "" && !strings.Contains(c.image, "@") {
		return c.image + "@" + digest
	}
	return c.image
}

// containers are those of a template, init containers last.
func containers(template map[string]any) []templateContainer {
	var all []templateContainer
	for _, field := range []string{"containers", "initContainers"} {
		list, _, _ := unstructured.NestedSlice(template, "spec", field)
		for _, item := range list {
			fields, _ := item.(map[string]any)
			name, _ := fields["name"].(string)
			image, _ := fields["image"].(string)
			all = append(all, templateContainer{field, name, image, fields})
		}
	}
	return all
}
