package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	// switchedKey is the annotation in which a switch keeps what was before it.
	switchedKey     = "astern.dev/switched"
	maxLabels       = 16
	selectorExample = `- name: switch_traffic
  uses: kubernetes/service-selector
  with:
    namespace: "${target.workload.namespace}"
    service: "${target.workload.name}"
    selector: {app: api, track: "${release.previous.vars.track}"}
    template: "${release.previous.vars.template}"
  timeout: 60s
  retry: {attempts: 3, backoff: 2s}
`
)

// ServiceSelector switches the traffic of a Service to other pods, such as from green to blue: it replaces the whole selector in
// one write, and waits until every EndpointSlice holds pods of the new side alone.
//
// Nothing is written unless enough pods of the new side are ready, all of them run one version, and each named target port is
// theirs, too. New connections go to the new side within a second or so. Established ones stay where they are until
// they close or their pods end: kubernetes/drain comes next. The side that was left is never taken back by astern: keep its pods for as long as
// a person may want to go back.
type ServiceSelector struct {
	// Namespace of the Service.
	Namespace string `yaml:"namespace"`
	// Service is its name.
	Service string `yaml:"service"`
	// Selector is the whole new selector: labels that the present one has and this has not are taken away.
	Selector map[string]string `yaml:"selector"`
	// Floor is how many pods of the new side must be ready. Without a word as many as the side now serving should have: the replicas
	// of its workloads, however many of their pods the bad version has left.
	Floor int `yaml:"ready,omitempty"`
	// Template is the digest of the pod template that all pods of the new side must run, as `vars.template` of an observed release
	// has it. Without a word they must all run the same.
	Template string `yaml:"template,omitempty"`
	// Under names the Argo CD or Flux object that would undo this and that an earlier step pauses, such as
	// argocd/argocd/shop or flux/Kustomization/flux-system/shop.
	Under string `yaml:"under,omitempty"`

	from map[string]string // the selector that the plan found
}

// SelectorOutputs is what later steps can read.
type SelectorOutputs struct {
	// Previous is the selector before the step.
	Previous map[string]string `json:"previous"`
	// Ready counts the pods of the new side that take traffic.
	Ready int `json:"ready"`
}

// Name is kubernetes/service-selector.
func (s *ServiceSelector) Name() string { return "kubernetes/service-selector" }

// Outputs types steps.<name>.previous and ready.
func (s *ServiceSelector) Outputs() any { return SelectorOutputs{} }

func (s *ServiceSelector) ref() cluster.Ref {
	return cluster.Ref{Kind: "Service", Namespace: s.Namespace, Name: s.Service}
}

// Validate checks names and labels. An empty selector would leave the Service to nobody, and its endpoints as they are (S17).
func (s *ServiceSelector) Validate() error {
	failed := []error{cluster.CheckNamespace("namespace", s.Namespace), cluster.CheckName("service", s.Service), cluster.CheckUnder(s.Under)}
	switch {
	case len(s.Selector) == 0:
		failed = append(failed, errors.New("selector: is required: without labels nobody would keep the Service's endpoints"))
	case len(s.Selector) > maxLabels:
		failed = append(failed, fmt.Errorf("selector: has more than %d labels", maxLabels))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Selector)) {
		failed = append(failed, checkLabel("selector", name, s.Selector[name]))
	}
	if s.Floor < 0 {
		failed = append(failed, errors.New("ready: must not be negative"))
	}
	if s.Template != "" {
		failed = append(failed, checkDigest("template", s.Template))
	}
	return errors.Join(failed...)
}

func checkLabel(field, name, value string) error {
	if len(validation.IsQualifiedName(name)) > 0 {
		return fmt.Errorf("%s: %.80q is no name of a label", field, name)
	}
	if value == "" || len(validation.IsValidLabelValue(value)) > 0 {
		return fmt.Errorf("%s: %.80q is no value of the label %s: letters, digits and - _ . alone, 1 to 63", field, value, name)
	}
	return nil
}

// Access is to read and patch the one Service, and to look at pods, endpoints, and the workloads that made the pods.
func (s *ServiceSelector) Access() []actions.Access {
	all := append(cluster.ClaimAccess(s.ref()), s.ref().Access("get", "patch"))
	return append(append(all, sideAccess(s.Namespace)...), cluster.UnderAccess(s.Under)...)
}

// Ready says whether traffic could be switched now.
func (s *ServiceSelector) Ready(ctx context.Context, env actions.Env) error {
	c, err := s.cluster(env)
	if err != nil {
		return err
	}
	if err := c.Allowed(ctx, s.Access()); err != nil {
		return err
	}
	_, err = s.look(ctx, c)
	return err
}

func (s *ServiceSelector) cluster(env actions.Env) (*cluster.Cluster, error) {
	if err := s.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	return cluster.Of(env)
}

// Plan says what the server would make of the write, and which pods would take the traffic.
func (s *ServiceSelector) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, err := s.cluster(env)
	if err != nil {
		return actions.Change{}, err
	}
	v, err := s.look(ctx, c)
	if err != nil {
		return actions.Change{}, err
	}
	if err := c.Under(ctx, v.service, s.Under, false); err != nil {
		return actions.Change{}, err
	}
	s.from = v.selector
	change := actions.Change{Changes: true, Summary: s.summary(v), Found: v.found()}
	if !v.switched() {
		after, err := c.JSONPatch(ctx, s.ref(), v.ops(env), cluster.PatchOptions{DryRun: true})
		if err != nil {
			return actions.Change{}, err
		}
		change.Diff = cluster.Diff(v.service, after)
	}
	change.Diff = append(change.Diff, v.notes()...)
	return change, nil
}

func (s *ServiceSelector) summary(v switchView) string {
	if v.switched() {
		return fmt.Sprintf("selector of %s is %s already", s.ref(), selectorText(v.goal))
	}
	return fmt.Sprintf("selector of %s: %s (%s ready, %d needed)", s.ref(), changed(v.selector, v.goal), countPods(len(v.then.ready())), v.floor)
}

// changed says which labels of a selector change, such as "track green -> blue".
func changed(from, to map[string]string) string {
	var parts []string
	for _, name := range sortedKeys(from, to) {
		was, had := from[name]
		is, has := to[name]
		switch {
		case had && !has:
			parts = append(parts, "-"+name)
		case has && !had:
			parts = append(parts, "+"+name+" "+is)
		case was != is:
			parts = append(parts, fmt.Sprintf("%s %s -> %s", name, was, is))
		}
	}
	return strings.Join(parts, ", ")
}

func sortedKeys(all ...map[string]string) []string {
	var names []string
	for _, m := range all {
		names = slices.AppendSeq(names, maps.Keys(m))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// selectorText is a selector as the API takes it: app=api,track=blue.
func selectorText(selector map[string]string) string {
	var parts []string
	for _, name := range sortedKeys(selector) {
		parts = append(parts, name+"="+selector[name])
	}
	return strings.Join(parts, ",")
}

func countPods(n int) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}

// selectorOf is the selector of a Service.
func selectorOf(service *unstructured.Unstructured) map[string]string {
	selector, _, _ := unstructured.NestedStringMap(service.Object, "spec", "selector")
	return selector
}
