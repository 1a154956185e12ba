package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// qps and burst keep astern a small guest at the API server; priority and fairness there has the last word.
	qps, burst = 50, 100
	// maxAnswer bounds what one answer may hold.
	maxAnswer = 64 << 20
)

// session is the client built from the credentials, built again when the kubeconfig changes.
type session struct {
	mu     sync.Mutex
	stamp  string
	client *rest.RESTClient
	config *rest.Config
}

// forget has the credentials read again by the next request. client-go would keep a token that was refused for a minute.
func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
	s.client = nil
}

func (s *session) close() {
	if s.client != nil {
		utilnet.CloseIdleConnectionsFor(s.client.Client.Transport)
	}
}

// through gives the client of the present credentials.
func (c *Cluster) through() (*rest.RESTClient, error) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	stamp, err := c.connection.stamp()
	if err != nil {
		return nil, fmt.Errorf("kubernetes credentials: %w", err)
	}
	if c.session.client != nil && stamp == c.session.stamp {
		return c.session.client, nil
	}
	config, err := c.config()
	if err != nil {
		return nil, fmt.Errorf("kubernetes credentials: %w", err)
	}
	client, err := newClient(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes credentials: %w", err)
	}
	c.session.close()
	c.session.stamp, c.session.client, c.session.config = stamp, client, config
	return client, nil
}

func (c *Cluster) objects() (dynamic.Interface, error) {
	client, err := c.through()
	if err != nil {
		return nil, err
	}
	return dynamic.New(client), nil
}

// stamp changes when the kubeconfig does.
func (c *Connection) stamp() (string, error) {
	if c.InCluster {
		return "in-cluster", nil
	}
	info, err := os.Stat(c.Kubeconfig)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size()), nil
}

func (c *Cluster) config() (*rest.Config, error) {
	config, err := c.connection.credentials()
	if err != nil {
		return nil, err
	}
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := c.dial(ctx, network, address)
		if err != nil {
			return nil, unsent{err}
		}
		return connection, nil
	}
	config.UserAgent = userAgent()
	config.QPS, config.Burst = qps, burst
	config.WarningHandler = rest.NoWarnings{}
	if config.Proxy == nil {
		// Nothing below the command line reads the environment: a proxy is named in the kubeconfig or not used.
		config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	if c.connection.Impersonate != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: c.connection.Impersonate}
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next} })
	return dynamic.ConfigFor(config), nil
}

func (c *Connection) credentials() (*rest.Config, error) {
	if c.InCluster {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("in_cluster: astern does not run in a pod with a ServiceAccount; name a kubeconfig")
		}
		return config, err
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).ClientConfig()
}

// newClient follows no redirect: the credentials would follow, too.
func newClient(config *rest.Config) (*rest.RESTClient, error) {
	through, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	through.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return rest.UnversionedRESTClientForConfigAndClient(config, through)
}

// bound gives a request its time, and keeps client-go from logging by itself: what is wrong is in the error.
func (c *Cluster) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(klog.NewContext(ctx, klog.Logger{}), c.timeout)
}

func userAgent() string {
	version := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return "astern/" + version
}

// bounded cuts endless answers, and takes from failed ones the wish to be asked again: the engine alone repeats, visibly.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, ended(err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		answer.Header.Del("Retry-After")
	}
	answer.Body = &limited{answer.Body, maxAnswer}
	return answer, nil
}

// ended says that a connection broke in words that client-go does not know: it would ask ten more times, a second apart.
func ended(err error) error {
	switch {
	case utilnet.IsConnectionReset(err):
		return errors.New("the connection was reset before the answer")
	case utilnet.IsProbableEOF(err):
		return errors.New("the connection ended before the answer")
	}
	return err
}

// WrappedRoundTripper lets idle connections be closed through it.
func (b bounded) WrappedRoundTripper() http.RoundTripper { return b.next }

type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	return n, err
}

// raw reads a path that is no object, such as the list of kinds.
func (c *Cluster) raw(ctx context.Context, path string, query map[string]string) ([]byte, error) {
	client, err := c.through()
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	request := client.Get().AbsPath(path)
	for name, value := range query {
		request = request.Param(name, value)
	}
	return request.Do(ctx).Raw()
}
