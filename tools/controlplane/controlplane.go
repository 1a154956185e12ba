// Package controlplane runs a real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler, and kwok, which plays the kubelet of some nodes. Deployments roll out, EndpointSlices follow, RBAC
// refuses; only containers do not run. It is a tool: the product imports it nowhere, and of astern it imports nothing but
// the neighbours' finder.
//
// A test package that uses it has a TestMain that calls Main, and its tests ask Shared for the package's one control plane:
//
//	func TestMain(m *testing.M) { controlplane.Main(m) }
//
//	func TestClusterRollsOut(t *testing.T) {
//		cluster := controlplane.Shared(t)
//		namespace := cluster.Namespace(t)
//		...
//	}
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// ControlPlane is a running control plane. It is safe for concurrent use; its methods wait for events, bounded by their
// context.
type ControlPlane struct {
	// Dir holds everything it writes: certificates, kubeconfigs, etcd's data, and one log per program.
	Dir string
	// URL is where the API server listens. It stays the same when the API server is killed and started again.
	URL string
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// Client speaks to the API server as administrator.
	Client dynamic.Interface

	log       io.Writer
	programs  map[string]string
	ports     ports
	apiserver *process
	tokens    map[string]string
	rest      *http.Client
	network   *network
	kinds     sync.Map // of schema.GroupVersionKind to schema.GroupVersionResource
	installs  sync.Mutex
	installed map[string]bool
	mu        sync.Mutex // guards cleanups
	cleanups  []func()
}

// Options says where a control plane lives. The zero value is fine.
type Options struct {
	// Dir is an empty directory; by default one in the temporary directory, which Close removes.
	Dir string
	// Log gets a line for what takes long: programs that are built.
	Log io.Writer
}

// programs are the neighbours a control plane runs, and kubectl, with which tests act as people do.
var programs = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kubectl"}

// Start starts a control plane and waits until its nodes are ready; some ten seconds. The context bounds the start alone: the
// control plane lives until Close, or until this process ends, however it ends.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	c := &ControlPlane{Dir: o.Dir, log: o.Log, installed: map[string]bool{}}
	if c.log == nil {
		c.log = io.Discard
	}
	for _, prepare := range []func(context.Context) error{
		c.findPrograms, c.makeDir, c.choosePorts, c.writeCertificates, c.writeIdentities, c.connect,
		c.startEtcd, c.StartAPIServer, c.startControllers, c.startNodes,
	} {
		if err := prepare(ctx); err != nil {
			defer c.Close()
			return nil, errors.Join(err, c.logs())
		}
	}
	return c, nil
}

func (c *ControlPlane) findPrograms(ctx context.Context) error {
	found, err := find(ctx, c.log, programs...)
	c.programs = found
	return err
}

func (c *ControlPlane) makeDir(context.Context) (err error) {
	if c.Dir != "" {
		return nil
	}
	if c.Dir, err = os.MkdirTemp("", "astern-cluster-"); err == nil {
		c.onClose(func() { _ = os.RemoveAll(c.Dir) })
	}
	return err
}

func (c *ControlPlane) connect(context.Context) error {
	config := &rest.Config{
		Host: c.URL, BearerToken: c.tokens["admin"], QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.path("ca.crt")},
	}
	var err error
	if c.rest, err = rest.HTTPClientFor(config); err != nil {
		return err
	}
	c.Client, err = dynamic.NewForConfigAndClient(config, c.rest)
	return err
}

func (c *ControlPlane) path(name string) string { return filepath.Join(c.Dir, name) }

func (c *ControlPlane) onClose(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleanups = append(c.cleanups, f)
}

// Close takes everything down, last up first. It may be called twice.
func (c *ControlPlane) Close() {
	c.mu.Lock()
	cleanups := c.cleanups
	c.cleanups = nil
	c.mu.Unlock()
	for _, f := range slices.Backward(cleanups) {
		f()
	}
}

// logs is what the programs said last, for a start that failed: Close removes the files.
func (c *ControlPlane) logs() error {
	files, err := filepath.Glob(c.path("*.log"))
	if err != nil {
		return err
	}
	said := []error{}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		said = append(said, fmt.Errorf("%s:\n%s", filepath.Base(file), text[max(0, len(text)-1500):]))
	}
	return errors.Join(said...)
}
