package controlplane

import (
	"context"
	"fmt"
	"path/filepath"

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
	_, err = c.Kubectl(ctx, "", append([]string{"wait", "--for=condition=Established", "--timeout=60s"}, args...)...)
	return err
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
