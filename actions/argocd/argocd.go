// Package argocd keeps Argo CD from undoing a rollback: argocd/pause stops the auto-sync of an Application, argocd/sync brings it
// to a revision, argocd/resume gives the auto-sync back and watches that the bad version stays away. It writes the
// Application objects of Argo CD, no server of Argo CD is needed; it stands on actions/cluster.
package argocd

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// lookEvery is how often an Application is read while its controller works.
const lookEvery = 250 * time.Millisecond

// Family brings argocd/pause, argocd/sync and argocd/resume; they use the connection kind "kubernetes" of the cluster that
// Argo CD runs in.
func Family() actions.Family {
	return actions.Family{Actions: []actions.Entry{
		{New: func() actions.Action { return &Pause{} }, Example: pauseExample},
		{New: func() actions.Action { return &Sync{} }, Example: syncExample},
		{New: func() actions.Action { return &Resume{} }, Example: resumeExample},
	}}
}

func checkApplication(namespace, application string) error {
	return errors.Join(cluster.CheckNamespace("namespace", namespace), cluster.CheckName("application", application))
}

// revision is what Argo CD resolves to exactly one state: a commit, or the exact version of a chart. A branch moves.
var (
	commit  = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	version = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]{1,100})?$`)
)

func checkRevision(field, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s: is required", field)
	case len(value) > 128 || !commit.MatchString(value) && !version.MatchString(value):
		return fmt.Errorf("%s: %.80q is neither a commit (7 to 64 hexadecimal digits) nor the exact version of a chart: a branch or a tag may move", field, value)
	}
	return nil
}

// same says whether two name one revision: commits may be short.
func same(a, b string) bool {
	if commit.MatchString(a) && commit.MatchString(b) {
		return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
	}
	return a == b
}

// rights are those every action of the family needs, and those to see who is above the Application.
func rights(ref cluster.Ref) []actions.Access {
	set := cluster.Ref{Kind: "ApplicationSet.argoproj.io", Namespace: ref.Namespace}
	return append([]actions.Access{ref.Access("get", "patch"), cluster.ArgoApplication(ref.Namespace, "").Access("get"), set.Access("get")}, cluster.ClaimAccess(ref)...)
}
