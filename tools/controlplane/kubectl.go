package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Kubectl runs kubectl as the administrator, with stdin as its input, and gives what it printed. A non-zero exit code is an
// error that holds what it said.
func (c *ControlPlane) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.programs["kubectl"], append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Dir = c.Dir
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// Apply applies YAML documents as a person does with kubectl: server-side, as manager "kubectl", taking over what conflicts.
func (c *ControlPlane) Apply(ctx context.Context, yaml string) error {
	return c.ApplyAs(ctx, "kubectl", yaml)
}

// ApplyAs applies YAML documents server-side as a field manager, taking over what conflicts.
func (c *ControlPlane) ApplyAs(ctx context.Context, manager, yaml string) error {
	_, err := c.Kubectl(ctx, yaml, "apply", "--server-side", "--force-conflicts", "--field-manager="+manager, "-f", "-")
	return err
}

// RolledOut waits until a workload such as "deployment/api" is rolled out.
func (c *ControlPlane) RolledOut(ctx context.Context, namespace, workload string) error {
	_, err := c.Kubectl(ctx, "", "--namespace="+namespace, "rollout", "status", "--timeout=60s", workload)
	return err
}

// KubeconfigFor writes a kubeconfig with a token of a service account, which is made when it is not there, and gives its path.
// What the account may do is what RBAC grants it: nothing, at first.
func (c *ControlPlane) KubeconfigFor(ctx context.Context, namespace, account string) (string, error) {
	accounts := c.Client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(namespace)
	_, err := accounts.Create(ctx, object("v1", "ServiceAccount", account, nil), metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("create service account %s/%s: %w", namespace, account, err)
	}
	answer, err := accounts.Create(ctx, object("authentication.k8s.io/v1", "TokenRequest", account, map[string]any{"spec": map[string]any{}}),
		metav1.CreateOptions{}, "token")
	if err != nil {
		return "", fmt.Errorf("ask for a token of service account %s/%s: %w", namespace, account, err)
	}
	token, _, err := unstructured.NestedString(answer.Object, "status", "token")
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig(namespace+"-"+account, c.URL, token)
}

func object(apiVersion, kind, name string, more map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	for key, value := range more {
		o.Object[key] = value
	}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetName(name)
	return o
}

// Get reads one object, such as "deployment/api"; an empty namespace is for those outside any.
func (c *ControlPlane) Get(ctx context.Context, namespace, ref string) (*unstructured.Unstructured, error) {
	printed, err := c.Kubectl(ctx, "", "--namespace="+namespace, "get", ref, "--output=json")
	if err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	return o, json.Unmarshal([]byte(printed), &o.Object)
}

// live reads the object that a manifest describes.
func (c *ControlPlane) live(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	kind, err := c.resource(ctx, o.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return c.Client.Resource(kind).Namespace(o.GetNamespace()).Get(ctx, o.GetName(), metav1.GetOptions{})
}

// resource asks the API server under which name a kind is served.
func (c *ControlPlane) resource(ctx context.Context, kind schema.GroupVersionKind) (schema.GroupVersionResource, error) {
	if known, ok := c.kinds.Load(kind); ok {
		return known.(schema.GroupVersionResource), nil
	}
	path := "/apis/" + kind.GroupVersion().String()
	if kind.Group == "" {
		path = "/api/" + kind.Version
	}
	text, err := c.get(ctx, path)
	if err != nil {
		return schema.GroupVersionResource{}, err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(text, &list); err != nil {
		return schema.GroupVersionResource{}, err
	}
	for _, r := range list.APIResources {
		if r.Kind == kind.Kind && !strings.Contains(r.Name, "/") {
			found := kind.GroupVersion().WithResource(r.Name)
			c.kinds.Store(kind, found)
			return found, nil
		}
	}
	return schema.GroupVersionResource{}, fmt.Errorf("the API server serves no %s", kind)
}

// Endpoints gives the addresses that a Service's EndpointSlices call ready, with the name of each one's pod.
func (c *ControlPlane) Endpoints(ctx context.Context, namespace, service string) (map[string]string, error) {
	slices := c.Client.Resource(schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"})
	list, err := slices.Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service})
	if err != nil {
		return nil, err
	}
	ready := map[string]string{}
	for _, slice := range list.Items {
		var typed struct {
			Endpoints []struct {
				Addresses  []string `json:"addresses"`
				Conditions struct {
					Ready bool `json:"ready"`
				} `json:"conditions"`
				TargetRef struct {
					Name string `json:"name"`
				} `json:"targetRef"`
			} `json:"endpoints"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(slice.Object, &typed); err != nil {
			return nil, err
		}
		for _, e := range typed.Endpoints {
			if e.Conditions.Ready {
				ready[e.Addresses[0]] = e.TargetRef.Name
			}
		}
	}
	return ready, nil
}

func (c *ControlPlane) namespaces() dynamic.ResourceInterface {
	return c.Client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
}
