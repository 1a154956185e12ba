package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
)

// podNetwork is where the nodes' pods have their addresses.
const podNetwork = "10.244.0.0/16"

// startNetwork puts up the network and kube-proxy in it, once.
func (c *ControlPlane) startNetwork(ctx context.Context) error {
	return c.once("the network", func() error {
		found, err := find(ctx, c.log, "kube-proxy", "nft", "ip")
		if err != nil {
			return err
		}
		// Several control planes may run here: each takes four addresses of those kept for benchmarks.
		at := rand.IntN(1 << 14)
		host, inside := fmt.Sprintf("198.18.%d.%d", at>>6, at%64*4+1), fmt.Sprintf("198.18.%d.%d", at>>6, at%64*4+2)
		if c.network, err = newNetwork(found["ip"], host, inside, podNetwork); err != nil {
			return err
		}
		c.onClose(c.network.close)
		url, err := c.forward(host)
		if err != nil {
			return err
		}
		return errors.Join(c.startProxy(url, found), c.servePods())
	})
}

// forward lets the namespace reach the API server, which listens on 127.0.0.1 alone.
func (c *ControlPlane) forward(host string) (url string, err error) {
	listener, err := net.Listen("tcp", host+":0") //nolint:noctx // a local listener does not wait
	if err != nil {
		return "", err
	}
	c.onClose(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go c.pipe(near)
		}
	}()
	return "https://" + listener.Addr().String(), nil
}

// pipe connects one client with the API server.
func (c *ControlPlane) pipe(near net.Conn) {
	far, err := net.Dial("tcp", local(c.ports.api)) //nolint:noctx // the API server is here or refuses
	if err != nil {
		_ = near.Close()
		return
	}
	copied := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = errors.Join(to.Close(), from.Close())
	}
	go copied(near, far)
	copied(far, near)
}

func (c *ControlPlane) startProxy(url string, found map[string]string) (err error) {
	kubeconfig, err := c.writeKubeconfig("proxy", url, c.tokens["proxy"])
	if err != nil {
		return err
	}
	config := c.path("kube-proxy.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: %s
clusterCIDR: %s
clientConnection: {kubeconfig: %q}
nftables: {minSyncPeriod: 10ms, syncPeriod: 30s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, Nodes[0], podNetwork, kubeconfig), 0o600); err != nil {
		return err
	}
	path := "PATH=" + filepath.Dir(found["nft"]) + string(os.PathListSeparator) + os.Getenv("PATH")
	var p *process
	c.network.do(func() {
		p, err = startWith(c.Dir, []string{path}, "kube-proxy", found["kube-proxy"], "--config="+config)
	})
	if err == nil {
		c.onClose(p.kill)
	}
	return err
}
