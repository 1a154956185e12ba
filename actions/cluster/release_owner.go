package cluster

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ChartVar is the release's var that names the Helm chart, such as "api-1.4.2".
const ChartVar = "chart"

// Enrich adds to what runs what its owner says of it: the commit by Argo CD or Flux, the chart by Helm. An owner's word
// counts only where the owner wrote the present template. What cannot be read, or is not certain, is left out.
func (c *Cluster) Enrich(ctx context.Context, r *Running) {
	if r.Rolling { // the owner may still speak of the release before
		return
	}
	obj, err := c.Get(ctx, r.Workload)
	if err != nil {
		return
	}
	r.take(c.said(ctx, obj))
}

func (r *Running) take(said said) {
	if r.Release.Commit == "" {
		r.Release.Commit = said.commit
	}
	if said.chart != "" {
		r.Release.Vars[ChartVar] = said.chart
	}
	for n, past := range r.Past {
		if past.Commit == "" {
			r.Past[n].Commit = commitAt(said.deploys, past.Began)
		}
	}
}

// said is what an owner tells of the present release, and when it deployed which commit before.
type said struct {
	commit, chart string
	deploys       []deploy
}

// deploy is one commit that an owner rolled out, between two times.
type deploy struct {
	commit   string
	from, to time.Time
}

func (c *Cluster) said(ctx context.Context, obj *unstructured.Unstructured) said {
	_, writer := written(obj, "f:spec", "f:template")
	if owner, found, err := c.Owner(ctx, obj); err == nil && found && owner.object != nil {
		switch {
		case owner.Kind == ByArgoCD && owner.object.GetKind() == "Application":
			return byArgoCD(owner.object, strings.HasPrefix(writer, "argocd"))
		case owner.Kind == ByFlux && owner.object.GetKind() == "Kustomization":
			return byFlux(owner.object, owner.Active && writer == "kustomize-controller")
		case owner.Kind == ByFlux && owner.object.GetKind() == "HelmRelease":
			return byHelmRelease(owner.object, owner.Active && writer == "helm-controller")
		}
	}
	if h, found, err := c.byHelm(ctx, obj); err == nil && found && strings.HasPrefix(writer, "helm") {
		return said{chart: h.chart()}
	}
	return said{}
}

// byArgoCD: "Synced" is a comparison of what lives with the revision, so the revision is what runs. History says when a
// full sync rolled which revision out.
func byArgoCD(app *unstructured.Unstructured, wrote bool) said {
	var s said
	synced := textAt(app.Object, "status", "sync", "status") == "Synced" && textAt(app.Object, "status", "operationState", "phase") != "Running"
	if synced && wrote {
		s.commit, s.chart = argoRevision(treeAt(app.Object, "status", "sync"), treeAt(app.Object, "spec", "source"))
	}
	history, _, _ := unstructured.NestedSlice(app.Object, "status", "history")
	for _, each := range history {
		entry, _ := each.(map[string]any)
		commit, _ := argoRevision(entry, nil)
		if from, to := timeOf(textAt(entry, "deployStartedAt")), timeOf(textAt(entry, "deployedAt")); commit != "" && !from.IsZero() {
			s.deploys = append(s.deploys, deploy{commit, from, to})
		}
	}
	return s
}

// argoRevision is a commit, or the version of a chart. Of several sources one must be a commit.
func argoRevision(in, source map[string]any) (commit, chart string) {
	revisions, _, _ := unstructured.NestedStringSlice(in, "revisions")
	if one := textAt(in, "revision"); one != "" {
		revisions = append(revisions, one)
	}
	commits := slices.DeleteFunc(slices.Clone(revisions), func(r string) bool { return !fullCommit.MatchString(r) })
	if len(commits) == 1 {
		return commits[0], ""
	}
	if name := textAt(source, "chart"); name != "" && len(revisions) == 1 {
		return "", firstOf(chartForm, name+"-"+revisions[0])
	}
	return "", ""
}

var (
	fullCommit = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	fluxForm   = regexp.MustCompile(`(?:^|[@/])(?:sha1:|sha256:)?([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// byFlux: what was applied last runs, when it is ready, nothing newer is tried, and Flux is not suspended.
func byFlux(k *unstructured.Unstructured, wrote bool) said {
	var s said
	applied := textAt(k.Object, "status", "lastAppliedRevision")
	settled := applied == textAt(k.Object, "status", "lastAttemptedRevision") && numberAt(k.Object, "status", "observedGeneration") == k.GetGeneration()
	if m := fluxForm.FindStringSubmatch(applied); m != nil && wrote && settled && conditionIs(k, "Ready", "True") {
		s.commit = m[1]
	}
	history, _, _ := unstructured.NestedSlice(k.Object, "status", "history")
	for _, each := range history {
		entry, _ := each.(map[string]any)
		first := timeOf(textAt(entry, "firstReconciled"))
		took, _ := time.ParseDuration(textAt(entry, "lastReconciledDuration"))
		if m := fluxForm.FindStringSubmatch(textAt(entry, "metadata", "revision")); m != nil && !first.IsZero() {
			s.deploys = append(s.deploys, deploy{m[1], first.Add(-took), first})
		}
	}
	return s
}

// byHelmRelease: the newest entry of its history is what Flux installed last.
func byHelmRelease(h *unstructured.Unstructured, wrote bool) said {
	history, _, _ := unstructured.NestedSlice(h.Object, "status", "history")
	if len(history) == 0 || !wrote || !conditionIs(h, "Ready", "True") {
		return said{}
	}
	entry, _ := history[0].(map[string]any)
	return said{chart: firstOf(chartForm, textAt(entry, "chartName")+"-"+textAt(entry, "chartVersion"))}
}

func conditionIs(obj *unstructured.Unstructured, name, status string) bool {
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		is, _ := c.(map[string]any)
		return textAt(is, "type") == name && textAt(is, "status") == status
	})
}

// commitAt is the commit that was being deployed at a time, when it can have been one alone.
func commitAt(deploys []deploy, at time.Time) string {
	found := ""
	for _, d := range deploys {
		if at.Before(d.from.Add(-clockGrain)) || at.After(d.to.Add(clockGrain)) || d.commit == found {
			continue
		}
		if found != "" {
			return ""
		}
		found = d.commit
	}
	return found
}
