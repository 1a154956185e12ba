package argocd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	refreshKey = "argocd.argoproj.io/refresh"
	skipKey    = "argocd.argoproj.io/skip-reconcile"

	keyInfo      = "astern-key"
	revisionInfo = "astern-revision"

	phaseRunning     = "Running"
	phaseTerminating = "Terminating"
	phaseSucceeded   = "Succeeded"
)

// application is an Application as it was read.
type application struct {
	object *unstructured.Unstructured
	content
}

// content is what is read of an Application.
type content struct {
	Spec struct {
		Project     string         `json:"project,omitempty"`
		Source      map[string]any `json:"source,omitempty"`
		Sources     []any          `json:"sources,omitempty"`
		Destination map[string]any `json:"destination,omitempty"`
		SyncPolicy  struct {
			Automated   map[string]any `json:"automated,omitempty"`
			SyncOptions []any          `json:"syncOptions,omitempty"`
		} `json:"syncPolicy,omitempty"`
	} `json:"spec"`
	Operation *operation `json:"operation,omitempty"`
	Status    struct {
		Sync struct {
			Status    string   `json:"status,omitempty"`
			Revision  string   `json:"revision,omitempty"`
			Revisions []string `json:"revisions,omitempty"`
		} `json:"sync,omitempty"`
		Health struct {
			Status  string `json:"status,omitempty"`
			Message string `json:"message,omitempty"`
		} `json:"health,omitempty"`
		OperationState *operationState `json:"operationState,omitempty"`
		History        []history       `json:"history,omitempty"`
		ReconciledAt   string          `json:"reconciledAt,omitempty"`
	} `json:"status,omitempty"`
}

type operation struct {
	InitiatedBy struct {
		Username  string `json:"username,omitempty"`
		Automated bool   `json:"automated,omitempty"`
	} `json:"initiatedBy,omitempty"`
	Info []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"info,omitempty"`
	Sync struct {
		Revision  string   `json:"revision,omitempty"`
		Revisions []string `json:"revisions,omitempty"`
	} `json:"sync,omitempty"`
}

type operationState struct {
	Operation  operation `json:"operation"`
	Phase      string    `json:"phase"`
	Message    string    `json:"message,omitempty"`
	StartedAt  string    `json:"startedAt"`
	FinishedAt string    `json:"finishedAt,omitempty"`
	SyncResult struct {
		Revision  string   `json:"revision,omitempty"`
		Revisions []string `json:"revisions,omitempty"`
	} `json:"syncResult,omitempty"`
}

type history struct {
	Revision  string         `json:"revision,omitempty"`
	Revisions []string       `json:"revisions,omitempty"`
	Source    map[string]any `json:"source,omitempty"`
	Sources   []any          `json:"sources,omitempty"`
}

// onApplication is an action on one Application.
type onApplication interface {
	Validate() error
	ref() cluster.Ref
}

// look reads the Application of an action whose parameters are right.
func look(ctx context.Context, env actions.Env, a onApplication) (*cluster.Cluster, application, error) {
	if err := a.Validate(); err != nil {
		return nil, application{}, actions.Permanent(err)
	}
	c, err := cluster.Of(env)
	if err != nil {
		return nil, application{}, err
	}
	app, err := read(ctx, c, a.ref())
	return c, app, err
}

func read(ctx context.Context, c *cluster.Cluster, ref cluster.Ref) (application, error) {
	obj, err := c.Get(ctx, ref)
	if err != nil {
		return application{}, err
	}
	return parse(obj)
}

func parse(obj *unstructured.Unstructured) (application, error) {
	a := application{object: obj}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &a.content); err != nil {
		return application{}, actions.Permanent(fmt.Errorf("%s is not as Argo CD writes it: %w", cluster.RefOf(obj), err))
	}
	return a, nil
}

func (a application) ref() cluster.Ref { return cluster.RefOf(a.object) }

// skipped says that Argo CD looks away.
func (a application) skipped() bool {
	skip, err := strconv.ParseBool(a.object.GetAnnotations()[skipKey])
	return err == nil && skip
}

// automatic says what the policy says, whatever else may keep Argo CD from syncing.
func (a application) automatic() bool { return on(a.Spec.SyncPolicy.Automated) }

func on(automated map[string]any) bool {
	enabled, said := automated["enabled"].(bool)
	return automated != nil && (!said || enabled)
}

// found is the digest of what all actions of the family depend on. The sync policy is left out: pausing changes it.
func (a application) found() string {
	return cluster.Digest(map[string]any{"uid": string(a.object.GetUID()), "project": a.Spec.Project, "source": a.Spec.Source, "sources": a.Spec.Sources, "destination": a.Spec.Destination})
}

// desired are the revisions that Argo CD last found for the Application's sources.
func (a application) desired() []string {
	return revisions(a.Status.Sync.Revision, a.Status.Sync.Revisions)
}

func revisions(one string, several []string) []string {
	if len(several) > 0 {
		return several
	}
	if one == "" {
		return nil
	}
	return []string{one}
}

func is(revisions []string, revision string) bool {
	return revision != "" && slices.ContainsFunc(revisions, func(r string) bool { return same(r, revision) })
}

// running says that an operation is under way; waiting that one was not taken up yet.
func (a application) running() bool {
	state := a.Status.OperationState
	return state != nil && (state.Phase == phaseRunning || state.Phase == phaseTerminating)
}

func (a application) waiting() bool { return a.Operation != nil && !a.running() }

// busy says that an operation is under way or waits to be taken up, and which.
func (a application) busy() (string, bool) {
	switch {
	case a.running():
		state := a.Status.OperationState
		return fmt.Sprintf("a sync %s is under way since %s (%s)", state.Operation.who(), state.StartedAt, state.Message), true
	case a.waiting():
		return "a sync " + a.Operation.who() + " waits for Argo CD's controller", true
	}
	return "", false
}

func (o operation) who() string {
	switch {
	case o.InitiatedBy.Automated:
		return "by auto-sync"
	case o.InitiatedBy.Username != "":
		return fmt.Sprintf("by %.80q", o.InitiatedBy.Username)
	}
	return "by somebody"
}

func (o operation) info(name string) string {
	for _, i := range o.Info {
		if i.Name == name {
			return i.Value
		}
	}
	return ""
}

// policy says in few words what auto-sync does.
func policy(automated map[string]any) string {
	if !on(automated) {
		return "off"
	}
	words := []string{"on"}
	for _, option := range slices.Sorted(maps.Keys(automated)) {
		if yes, _ := automated[option].(bool); yes && option != "enabled" {
			words = append(words, option)
		}
	}
	return strings.Join(words, " with ")
}

// byHand is the command that gives back an auto-sync. A merge leaves `enabled: false` where nothing is said.
func (a application) byHand(automated map[string]any) string {
	all := maps.Clone(automated)
	if all == nil {
		all = map[string]any{}
	}
	if a.Spec.SyncPolicy.Automated != nil {
		all["enabled"] = true
	}
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"syncPolicy": map[string]any{"automated": all}}})
	if err != nil {
		return ""
	}
	return fmt.Sprintf("kubectl -n %s patch applications.argoproj.io %s --type merge -p '%s'", a.object.GetNamespace(), a.object.GetName(), raw)
}

// after says that a time is not before another; what cannot be read is not.
func after(text, than string) bool {
	a, err := time.Parse(time.RFC3339, text)
	b, wrong := time.Parse(time.RFC3339, than)
	return err == nil && (wrong != nil || !a.Before(b))
}

// patch writes to the Application as it was read, or not at all.
func (a application) patch(ctx context.Context, c *cluster.Cluster, dry bool, body map[string]any) (application, error) {
	metadata, _ := body["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["uid"], metadata["resourceVersion"] = string(a.object.GetUID()), a.object.GetResourceVersion()
	body["metadata"] = metadata
	obj, err := c.MergePatch(ctx, a.ref(), body, cluster.PatchOptions{DryRun: dry})
	if err != nil {
		return application{}, err
	}
	return parse(obj)
}

func annotated(key string, value any) map[string]any {
	return map[string]any{"annotations": map[string]any{key: value}}
}
