package controlplane

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	sharedMu   sync.Mutex
	shared     *ControlPlane
	sharedErr  error
	closing    bool // Main runs, and will call CloseShared
	namespaces atomic.Int64
)

// Main runs a package's tests and takes the shared control plane down: a package's TestMain is a call of it.
func Main(m *testing.M) {
	closing = true
	code := m.Run()
	CloseShared()
	os.Exit(code)
}

// CloseShared takes the shared control plane down, if there is one.
func CloseShared() {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if shared != nil {
		shared.Close()
	}
	shared = nil
}

// Shared is the control plane of this test process; the first test that asks starts it. Each test works in a Namespace of its own.
func Shared(t testing.TB) *ControlPlane {
	t.Helper()
	require.True(t, closing, "the package has no TestMain that calls controlplane.Main: its control plane would leave its directory behind")
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if shared == nil && sharedErr == nil {
		// Building the programs takes minutes when `make neighbours` has not done it before.
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
		defer cancel()
		shared, sharedErr = Start(ctx, Options{Log: os.Stderr})
	}
	require.NoError(t, sharedErr)
	return shared
}

// Namespace makes a namespace for a test, ready to have pods, and has it deleted after the test.
func (c *ControlPlane) Namespace(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test-%d", namespaces.Add(1))
	require.NoError(t, c.CreateNamespace(t.Context(), name))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	})
	return name
}

// CreateNamespace makes a namespace and waits until its default service account is there, without which no pod is made.
func (c *ControlPlane) CreateNamespace(ctx context.Context, name string) error {
	if _, err := c.namespaces().Create(ctx, object("v1", "Namespace", name, nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	accounts := c.Client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(name)
	return Await(ctx, "the default service account of "+name, func(ctx context.Context) error {
		_, err := accounts.Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}
