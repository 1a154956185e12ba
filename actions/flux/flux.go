// Package flux keeps Flux from undoing a rollback: flux/suspend stops an object of Flux, flux/reconcile has one looked at now and
// waits for a revision, flux/resume gives it back and watches that the bad version stays away. It writes the objects of Flux
// and nothing else; it stands on actions/cluster.
package flux

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	// lookEvery is how often an object is read while its controller works.
	lookEvery = 250 * time.Millisecond
	// quiet is how long a controller that tells nothing must seem idle: it may have begun before it saw the suspension.
	quiet = time.Second
)

// Family brings flux/suspend, flux/reconcile and flux/resume; they use the connection kind "kubernetes" of the cluster that Flux
// runs in.
func Family() actions.Family {
	return actions.Family{Actions: []actions.Entry{
		{New: func() actions.Action { return &Suspend{} }, Example: suspendExample},
		{New: func() actions.Action { return &Reconcile{} }, Example: reconcileExample},
		{New: func() actions.Action { return &Resume{} }, Example: resumeExample},
	}}
}

const kinds = "Kustomization, HelmRelease, GitRepository, OCIRepository or ImageUpdateAutomation"

func checkObject(kind, namespace, name string) error {
	failed := []error{cluster.CheckNamespace("namespace", namespace), cluster.CheckName("name", name)}
	if _, known := cluster.FluxObject(kind, "", ""); !known {
		failed = append(failed, fmt.Errorf("kind: %.80q is not %s", kind, kinds))
	}
	return errors.Join(failed...)
}

func object(kind, namespace, name string) cluster.Ref {
	ref, _ := cluster.FluxObject(kind, namespace, name)
	return ref
}

// rights are those every action of the family needs, and those to see who is above the object, and beside it.
func rights(ref cluster.Ref) []actions.Access {
	all := append([]actions.Access{ref.Access("get", "patch")}, cluster.ClaimAccess(ref)...)
	return append(all, object("Kustomization", ref.Namespace, "").Access("get"), object("GitRepository", ref.Namespace, "").Access("get"),
		object("ImageUpdateAutomation", ref.Namespace, "").Access("list"))
}

// A commit, an OCI digest without its algorithm, or the version of a chart: a branch or a tag may move.
var (
	commit  = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	version = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]{1,100})?$`)
)

func checkRevision(field, value string) error {
	if len(value) > 128 || !commit.MatchString(value) && !version.MatchString(value) {
		return fmt.Errorf("%s: %.80q is neither a commit or digest (7 to 64 hexadecimal digits) nor the exact version of a chart: a branch or a tag may move", field, value)
	}
	return nil
}

// is says whether a revision as Flux writes it, such as main@sha1:41d1…, 1.2.3 or 1.2.3+41d1…, is the one that is named.
func is(revision, named string) bool {
	if named == "" || revision == "" {
		return false
	}
	if !commit.MatchString(named) {
		tag, _, _ := strings.Cut(revision, "@")
		bare, _, _ := strings.Cut(tag, "+")
		return tag == named || bare == named
	}
	at := revision[strings.LastIndexAny(revision, ":/@+")+1:]
	return commit.MatchString(at) && (strings.HasPrefix(at, named) || strings.HasPrefix(named, at))
}

func brief(revision string) string {
	if commit.MatchString(revision) && len(revision) > 12 {
		return revision[:12]
	}
	return revision
}
