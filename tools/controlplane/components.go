package controlplane

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// run starts a program that lives until Close.
func (c *ControlPlane) run(name string, args ...string) (*process, error) {
	p, err := start(c.Dir, name, c.programs[name], args...)
	if err == nil {
		c.onClose(p.kill)
	}
	return p, err
}

func (c *ControlPlane) startEtcd(context.Context) error {
	client, peer := "http://"+local(c.ports.etcd), "http://"+local(c.ports.peer)
	_, err := c.run("etcd", "--name=one", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=one="+peer)
	return err
}

// StartAPIServer starts the API server, if it does not run, at the address it always has, and waits until it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	if c.apiserver != nil && c.apiserver.ended() == nil {
		return nil
	}
	p, err := c.run("kube-apiserver", "--etcd-servers=http://"+local(c.ports.etcd),
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(c.ports.api),
		"--tls-cert-file="+c.path("serving.crt"), "--tls-private-key-file="+c.path("serving.key"),
		"--authorization-mode=RBAC", "--token-auth-file="+c.path("tokens.csv"), "--client-ca-file="+c.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("accounts.key"), "--service-account-signing-key-file="+c.path("accounts.key"),
		"--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
		"--kubelet-preferred-address-types=InternalIP", "--profiling=false",
		// Debian's etcd is too old for lists by watch, and says so to clients in a way that some do not understand.
		"--feature-gates=WatchList=false")
	if err != nil {
		return err
	}
	c.apiserver = p
	return Await(ctx, "the API server", func(ctx context.Context) error {
		if err := p.ended(); err != nil {
			return err
		}
		_, err := c.get(ctx, "/readyz")
		return err
	})
}

// KillAPIServer ends the API server as kill -9 does. What etcd holds stays; nothing else is stopped.
func (c *ControlPlane) KillAPIServer() { c.apiserver.kill() }

// FreezeAPIServer stops the API server's clock: connections stay open and nothing answers. The returned function lets it go on.
func (c *ControlPlane) FreezeAPIServer() (thaw func()) {
	p := c.apiserver
	p.signal(syscall.SIGSTOP)
	return func() { p.signal(syscall.SIGCONT) }
}

// get asks the API server for a path, such as /readyz.
func (c *ControlPlane) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.rest.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s: %.300s", path, answer.Status, text)
	}
	return text, err
}

// startControllers starts the controller manager, which looks after autoscalers often, so that tests see one act.
func (c *ControlPlane) startControllers(context.Context) error {
	quick := []string{"--leader-elect=false", "--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000"}
	_, err := c.run("kube-controller-manager", slices.Concat(quick, []string{
		"--kubeconfig=" + c.path("controller-manager.kubeconfig"), "--use-service-account-credentials",
		"--root-ca-file=" + c.path("ca.crt"), "--service-account-private-key-file=" + c.path("accounts.key"),
		"--horizontal-pod-autoscaler-sync-period=1s",
	})...)
	if err != nil {
		return err
	}
	_, err = c.run("kube-scheduler", append(quick, "--kubeconfig="+c.path("scheduler.kubeconfig"))...)
	return err
}
