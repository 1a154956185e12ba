package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	versionKey  = "astern.dev/version"
	commitKey   = "astern.dev/commit"
	labelKey    = "app.kubernetes.io/version"
	revisionKey = "org.opencontainers.image.revision"
)

var (
	versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+:@/-]{0,127}$`)
	commitForm  = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	digestForm  = regexp.MustCompile(`@(sha256:[0-9a-f]{64})$`)
)

// describeRelease says what a template is. The annotations are the revision's own where there is one: they are what the
// workload had when it was rolled out.
func describeRelease(w *workload, t template, r *revision, pods []*pod) Release {
	annotations := w.annotations
	if r != nil && w.ref.Kind == "Deployment" {
		annotations = r.annotations
	}
	told := template{labels: t.labels, annotations: t.annotations}
	release := Release{
		Version: firstOf(versionForm, told.annotations[versionKey], annotations[versionKey], told.labels[labelKey], tagOf(t.image), shortDigest(t.digest)),
		Commit:  firstOf(commitForm, told.annotations[commitKey], annotations[commitKey], told.annotations[revisionKey], annotations[revisionKey], told.labels[revisionKey]),
		Digest:  imageDigest(t, pods),
		Vars:    map[string]string{"template": t.digest, "workload": w.ref.Name},
	}
	if r != nil && r.number > 0 {
		release.Vars["revision"] = strconv.FormatInt(r.number, 10)
	}
	return release
}

// firstOf is the first text of the form: what stands in a cluster was written by strangers.
func firstOf(form *regexp.Regexp, texts ...string) string {
	for _, text := range texts {
		if form.MatchString(text) {
			return text
		}
	}
	return ""
}

// tagOf is the tag of an image, if it has one: the port of a registry is none.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag
}

func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 12)]
}

// imageDigest is the digest of the main container's image: that in the template, else what the pods say they run. One tag
// may name different images on different nodes: then nobody knows.
func imageDigest(t template, pods []*pod) string {
	if m := digestForm.FindStringSubmatch(t.image); m != nil {
		return m[1]
	}
	found := ""
	for _, p := range pods {
		m := digestForm.FindStringSubmatch(p.images[t.container])
		switch {
		case m == nil: // it has not pulled it yet, or its runtime does not tell
		case found != "" && found != m[1]:
			return ""
		default:
			found = m[1]
		}
	}
	return found
}

// behind tells what a Service's selector picks. One Deployment must stand behind it; where several do, that with the
// newest rollout is being rolled out.
func (s *scene) behind(ref Ref) (Running, error) {
	v := s.service(ref)
	if v == nil {
		return Running{}, fmt.Errorf("%s %w", ref, ErrAbsent)
	}
	if len(v.selector) == 0 {
		return Running{}, fmt.Errorf("%s has no selector: nothing says what it picks", ref)
	}
	serving := s.picked(v)
	if len(serving) == 0 {
		return Running{}, fmt.Errorf("a Deployment that %s picks %w", ref, ErrAbsent)
	}
	fronts := make([]Running, len(serving))
	newest := 0
	for n, w := range serving {
		fronts[n] = s.of(w)
		if fronts[n].Release.Began.After(fronts[newest].Release.Began) {
			newest = n
		}
	}
	r := fronts[newest]
	r.UID, r.Version, r.Rolling = v.uid, v.version+" "+r.Version, r.Rolling || len(serving) > 1
	r.Release.switched(v)
	if r.Rolling {
		r.Release.At, r.Release.Proven = r.Release.Began, true
	}
	r.Past = s.beside(v, serving[newest], r.Release)
	return r, nil
}

// switched puts the Service's word on the release of a workload: it is out since the selector picks it. A manager's time
// may be that of a later change, so it is no proof.
func (r *Release) switched(v *service) {
	r.selected(v.selector)
	if v.selectorAt.After(r.At) {
		r.At, r.Proven = v.selectorAt.UTC(), false
	}
}

// selected adds the selector's labels to the vars, by the last part of their keys.
func (r *Release) selected(labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		name := varName(key)
		if _, taken := r.Vars[name]; !taken && name != "" {
			r.Vars[name] = labels[key]
		}
	}
}

var notInVar = regexp.MustCompile(`[^a-z0-9_]`)

func varName(key string) string {
	return notInVar.ReplaceAllString(strings.ToLower(key[strings.LastIndex(key, "/")+1:]), "_")
}

func (s *scene) service(ref Ref) *service {
	for _, v := range s.services {
		if v.ref == ref {
			return v
		}
	}
	return nil
}

// picked are the Deployments whose pods the Service sends traffic to; without a ready pod, those whose pods it would.
func (s *scene) picked(v *service) []*workload {
	var serving, matching []*workload
	for _, w := range s.workloads {
		if w.ref.Kind != "Deployment" {
			continue
		}
		ready := false
		for _, r := range s.revisions.of[w.uid] {
			for _, p := range s.pods.of[r.uid] {
				ready = ready || p.ready && within(v.selector, p.labels)
			}
		}
		if ready {
			serving = append(serving, w)
		}
		if within(v.selector, w.template.labels) {
			matching = append(matching, w)
		}
	}
	if len(serving) == 0 {
		serving = matching
	}
	slices.SortFunc(serving, func(a, b *workload) int { return strings.Compare(a.ref.Name, b.ref.Name) })
	return serving
}

func within(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// beside is the release before, when one can be told for certain: one other Deployment is of the same family, and was
// rolled out before the present one was. What was rolled out later waits for its turn: it is no way back.
func (s *scene) beside(v *service, now *workload, current Release) []Release {
	var family []*workload
	for _, w := range s.workloads {
		if w.ref.Kind == "Deployment" && w != now && related(v, now, w) {
			family = append(family, w)
		}
	}
	if len(family) != 1 {
		return nil
	}
	other := s.of(family[0])
	if other.Rolling || other.Release.At.After(current.Began) {
		return nil
	}
	labels := map[string]string{}
	for key := range v.selector {
		labels[key] = family[0].template.labels[key]
	}
	other.Release.selected(labels)
	return []Release{other.Release}
}

const targetKey = "astern.dev/target"

// related says whether two Deployments are two sides of one Service: they name its target, or their pods differ in one
// label of its selector and share the others.
func related(v *service, now, other *workload) bool {
	if name := v.annotations[targetKey]; name != "" && other.annotations[targetKey] == name {
		return true
	}
	same, differ := 0, 0
	for key, value := range v.selector {
		switch has, there := other.template.labels[key]; {
		case !there:
			return false
		case has == value && now.template.labels[key] == value:
			same++
		default:
			differ++
		}
	}
	return same > 0 && differ == 1
}
