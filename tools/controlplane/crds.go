package controlplane

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"astern.dev/astern/tools/neighbours"
)

// modules hold the CRDs of those whose objects tests make, by the folder in the module.
var modules = map[string]struct{ path, version, folder string }{
	"argo-cd":              {"github.com/argoproj/argo-cd/v3", "v3.4.0", "manifests/crds"},
	"kustomize-controller": {"github.com/fluxcd/kustomize-controller", "v1.9.5", "config/crd/bases"},
	"source-controller":    {"github.com/fluxcd/source-controller", "v1.9.0", "config/crd/bases"},
}

// installCRDs applies the CRDs of a project and waits until the API server serves them.
func (c *ControlPlane) installCRDs(ctx context.Context, project string) error {
	m := modules[project]
	dir, err := neighbours.Module(ctx, m.path, m.version)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, m.folder, "*_*.yaml"))
	if err != nil {
		return err
	}
	more, err := filepath.Glob(filepath.Join(dir, m.folder, "*-crd.yaml"))
	if err != nil {
		return err
	}
	args := []string{}
	for _, file := range append(files, more...) {
		args = append(args, "--filename="+file)
	}
	if _, err := c.Kubectl(ctx, "", append([]string{"apply", "--server-side", "--force-conflicts"}, args...)...); err != nil {
		return err
	}
	return Await(ctx, "the CRDs of "+project, c.established)
}

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// established is an error while a CRD is not served.
func (c *ControlPlane) established(ctx context.Context) error {
	list, err := c.Client.Resource(definitions).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, o := range list.Items {
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		if !slices.ContainsFunc(conditions, func(c any) bool {
			condition, _ := c.(map[string]any)
			return condition["type"] == "Established" && condition["status"] == "True"
		}) {
			return fmt.Errorf("%s is not established", o.GetName())
		}
	}
	return nil
}

// once installs what is not installed yet.
func (c *ControlPlane) once(name string, install func() error) error {
	c.installs.Lock()
	defer c.installs.Unlock()
	if c.installed[name] {
		return nil
	}
	if err := install(); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	c.installed[name] = true
	return nil
}
