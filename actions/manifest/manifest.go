// Package manifest puts a release back to the manifests it had at an earlier commit: it reads them out of Git, renders them
// as the deployer did, and applies them on the API server's side under the deployer's own name, so that what the bad version
// added goes away again. Of ours it imports actions, actions/cluster and actions/repository.
package manifest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/repository"
)

const example = `- name: previous_manifests
  uses: manifest/revert
  with:
    path: deploy/production
    commit: "${release.previous.commit}"
    namespace: "${target.workload.namespace}"
  timeout: 2m
  retry: {attempts: 3, backoff: 5s}
`

// Family brings manifest/revert. Its connections are those of actions/cluster and actions/repository.
func Family() actions.Family {
	return actions.Family{Actions: []actions.Entry{{New: func() actions.Action { return &Revert{} }, Example: example}}}
}

// Revert applies the manifests of an earlier commit: the files under a path of the Git connection, rendered by kustomize or
// helm where they are made so, applied on the server's side by the Kubernetes connection. Everything is tried as a dry run
// first, all of it or none; then config is written before workloads, and workloads before what routes to them. Nothing is
// deleted: objects that the bad version alone has stay, and are listed when from is given.
//
// It writes as the field manager that applied the bad version, as only its own fields go away when they are no longer in the
// manifests; what a client-side apply wrote is taken over first. A field that another manager owns is never taken without
// force, and the number of replicas is left to an autoscaler or whoever else set it. A Deployment that astern has
// halted goes on with the same write. A Deployment that somebody else paused is refused, since nothing would roll out.
//
// Remote bases, plugins and missing chart dependencies are refused: what is not in the repository is not held to the
// commit.
type Revert struct {
	// Path is a file or directory of the repository; `.` is all of it.
	Path string `yaml:"path"`
	// Commit is the good one, by its hash.
	Commit string `yaml:"commit"`
	// Namespace is where objects go that name none, and the one namespace that may be written to.
	Namespace string `yaml:"namespace"`
	// Namespaces are further ones that may be written to.
	Namespaces []string `yaml:"namespaces,omitempty"`
	// Render is auto, plain, kustomize or helm. Auto, which counts without a word, takes helm where there is a Chart.yaml or
	// helm is given, kustomize where there is a kustomization.yaml, and plain manifests else.
	Render string `yaml:"render,omitempty"`
	// Recurse takes plain manifests from the directories below, too.
	Recurse bool `yaml:"recurse,omitempty"`
	// Helm says how `helm template` was called. The program must be on the PATH.
	Helm *Helm `yaml:"helm,omitempty"`
	// Kinds may be written; Deployment, StatefulSet, DaemonSet, ConfigMap and Service without a word. Others that can be
	// listed: Secret, ServiceAccount, CronJob, HorizontalPodAutoscaler, PodDisruptionBudget, Ingress, NetworkPolicy, HTTPRoute,
	// GRPCRoute. A manifest of another kind fails the step, unless leave lists it.
	Kinds []string `yaml:"kinds,omitempty"`
	// Leave lists kinds that are left as they are although there are manifests of them.
	Leave []string `yaml:"leave,omitempty"`
	// Manager is the field manager that applied the bad version. Without a word it is read from the objects.
	Manager string `yaml:"manager,omitempty"`
	// Force lists managers whose fields may be taken, such as kubectl-edit or kubectl-set after a change by hand.
	Force []string `yaml:"force,omitempty"`
	// Resume lets a Deployment go on that somebody else than astern paused; without it such a one is refused.
	Resume bool `yaml:"resume,omitempty"`
	// SecretsUnread leaves out whether the Secrets are there that the manifests name: astern then needs no right to Secrets.
	SecretsUnread bool `yaml:"secrets_unread,omitempty"`
	// From is the commit that is left: objects that only it has are listed.
	From string `yaml:"from,omitempty"`
	// Version is what workloads say they are from then on, where they have the annotation astern.dev/version and the
	// manifests do not: usually ${release.previous.version}. Without a word the annotation is emptied.
	Version string `yaml:"version,omitempty"`
	// Under is the GitOps owner that an earlier step of the procedure pauses, as argocd/NAMESPACE/NAME or
	// flux/KIND/NAMESPACE/NAME.
	Under string `yaml:"under,omitempty"`

	planned string
}

// Outputs is what later steps can read.
type Outputs struct {
	// Commit is the whole hash of the commit that was applied.
	Commit string `json:"commit"`
	// Objects counts the manifests.
	Objects int `json:"objects"`
	// Changed counts those whose object was not as the commit has it.
	Changed int `json:"changed"`
	// Rendered is the digest of the manifests as they were rendered.
	Rendered string `json:"rendered"`
}

// Name is manifest/revert.
func (r *Revert) Name() string { return "manifest/revert" }

// Outputs types steps.<name>.commit, objects, changed and rendered.
func (r *Revert) Outputs() any { return Outputs{} }

// Validate checks every name that goes into a path, a command line or a request.
func (r *Revert) Validate() error {
	failed := []error{checkPath("path", r.Path), checkCommit("commit", r.Commit), cluster.CheckNamespace("namespace", r.Namespace)}
	if r.From != "" {
		failed = append(failed, checkCommit("from", r.From))
	}
	for n, namespace := range r.Namespaces {
		failed = append(failed, cluster.CheckNamespace(fmt.Sprintf("namespaces[%d]", n), namespace))
	}
	if r.Render != "" && !slices.Contains([]string{auto, plain, kustomize, helm}, r.Render) {
		failed = append(failed, fmt.Errorf("render: %.40q is none of auto, plain, kustomize, helm", r.Render))
	}
	if r.Recurse && r.Render != "" && r.Render != plain && r.Render != auto {
		failed = append(failed, errors.New("recurse: goes with plain manifests alone"))
	}
	if len(r.Version) > 200 || strings.ContainsFunc(r.Version, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		failed = append(failed, errors.New("version: must be one line of at most 200 characters"))
	}
	failed = append(failed, r.checkHelm(), r.checkKinds(), r.checkManagers(), cluster.CheckUnder(r.Under))
	return errors.Join(failed...)
}

var managerForm = regexp.MustCompile(`^[!-~]([ -~]{0,126}[!-~])?$`)

func (r *Revert) checkManagers() error {
	var failed []error
	for what, names := range map[string][]string{"manager": {r.Manager}, "force": r.Force} {
		for _, name := range names {
			if name != "" && !managerForm.MatchString(name) || name == "" && what == "force" {
				failed = append(failed, fmt.Errorf("%s: %.40q is no field manager", what, name))
			}
		}
	}
	return errors.Join(failed...)
}

func checkPath(field, name string) error {
	if name == "" {
		return fmt.Errorf("%s: is required", field)
	}
	if name == "." {
		return nil
	}
	if err := repository.CheckPath(name); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if strings.HasPrefix(name, "-") {
		return fmt.Errorf("%s: must not begin with -", field)
	}
	return nil
}

func checkCommit(field, hash string) error {
	if hash == "" {
		return fmt.Errorf("%s: is required", field)
	}
	if err := repository.CheckCommit(hash); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// source reads the repository at a commit, which is fetched when the mirror does not have it.
func source(ctx context.Context, env actions.Env, commit string) (whole string, t *tree, err error) {
	from, err := repository.Of(env)
	if err != nil {
		return "", nil, err
	}
	if whole, err = from.Resolve(ctx, commit); err != nil {
		if err := from.Fetch(ctx); err != nil {
			return "", nil, err
		}
		if whole, err = from.Resolve(ctx, commit); err != nil {
			return "", nil, fmt.Errorf("the commit to go back to: %w", err)
		}
	}
	return whole, newTree(func(ctx context.Context, path string) (map[string][]byte, error) {
		if path == "." {
			path = ""
		}
		return from.Files(ctx, whole, path)
	}), nil
}

// allowed are the namespaces that may be written to.
func (r *Revert) allowed() []string {
	return slices.Compact(slices.Sorted(slices.Values(append([]string{r.Namespace}, r.Namespaces...))))
}
