// Package cluster reaches a Kubernetes API server: fenced reads and writes whose errors say what is to be done, the right
// to do them, the lease that keeps two installations apart, digests and diffs of objects, and their status.
// Of ours it imports actions alone; the actions of Kubernetes, Argo CD, Flux and manifests stand on it.
//
// It stays with client-go's dynamic client: discovery, restmapper and every typed client link all of Kubernetes' types
// into the binary (19 MB), so what is needed of them is written here.
package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

const (
	kind           = "kubernetes"
	defaultTimeout = 15 * time.Second
	defaultManager = "astern"
)

// Family brings the connection kind "kubernetes".
func Family() actions.Family {
	return actions.Family{Kind: kind, NewConnection: func() actions.Connection { return &Connection{} }}
}

// Connection is one entry of `connections.kubernetes`: one cluster, reached with one identity. An API server on the machine
// itself needs `egress.allow`; a proxy is used only where the kubeconfig names one.
type Connection struct {
	// Kubeconfig is a kubeconfig file; it is read again when it changes. A credential plugin it names (`exec`) is run by
	// astern, with astern's rights: take the file from nobody whom you would not let run programs there.
	Kubeconfig string `yaml:"kubeconfig,omitempty"`
	// Context of the kubeconfig; without a word its current one.
	Context string `yaml:"context,omitempty"`
	// InCluster takes the ServiceAccount of the pod that astern runs in. Its token is read again when it rotates.
	InCluster bool `yaml:"in_cluster,omitempty"`
	// Impersonate names the user to act as, such as system:serviceaccount:shop:astern, so that the cluster's audit log says
	// for whom it was done. The credentials need the right to impersonate it.
	Impersonate string `yaml:"impersonate,omitempty"`
	// Timeout bounds one request; 15s without a word.
	Timeout actions.Duration `yaml:"timeout,omitempty"`
}

// Validate wants one source of credentials.
func (c *Connection) Validate() error {
	var failed []error
	switch {
	case c.InCluster && c.Kubeconfig != "":
		failed = append(failed, errors.New("in_cluster and kubeconfig: name one of them"))
	case !c.InCluster && c.Kubeconfig == "":
		failed = append(failed, errors.New("kubeconfig: is required, or `in_cluster: true` where astern runs in the cluster"))
	}
	if c.Context != "" && c.Kubeconfig == "" {
		failed = append(failed, errors.New("context: needs a kubeconfig"))
	}
	if strings.ContainsAny(c.Impersonate, "\r\n") || len(c.Impersonate) > 253 {
		failed = append(failed, errors.New("impersonate: is no user name"))
	}
	if c.Timeout < 0 {
		failed = append(failed, errors.New("timeout: must not be negative"))
	}
	return errors.Join(failed...)
}

// SetDirectory makes the kubeconfig relative to dir.
func (c *Connection) SetDirectory(dir string) {
	if c.Kubeconfig != "" && !filepath.IsAbs(c.Kubeconfig) {
		c.Kubeconfig = filepath.Join(dir, c.Kubeconfig)
	}
}

// Open gives a *Cluster. Credentials are read at the first request, so that files can be checked far from the cluster.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	timeout := time.Duration(c.Timeout)
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return &Cluster{connection: *c, dial: dial, timeout: timeout, kinds: kinds{now: time.Now}}, nil
}

// Cluster is one API server, reached with one identity. It is safe for concurrent use.
type Cluster struct {
	connection Connection
	dial       actions.Dial
	timeout    time.Duration
	session    session
	kinds      kinds
}

// Of gives the cluster that the target or the step chose.
func Of(env actions.Env) (*Cluster, error) {
	opened, err := env.Connect(kind, "")
	if err != nil {
		return nil, err
	}
	c, ok := opened.(*Cluster)
	if !ok {
		return nil, actions.Permanent(fmt.Errorf("the kubernetes connection is a %T, no cluster", opened))
	}
	return c, nil
}
