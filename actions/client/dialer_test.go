package client

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func TestEgress(t *testing.T) {
	refused := []string{
		"127.0.0.1:80", "127.255.255.254:80", "[::1]:80", "169.254.169.254:80", "169.254.0.1:80", "[fe80::1]:80", "[fe80::1%eth0]:80",
		"0.0.0.0:80", "0.1.2.3:80", "[::]:80", "[::ffff:127.0.0.1]:80", "[::ffff:169.254.169.254]:80", "[::127.0.0.1]:80",
		"[64:ff9b::a9fe:a9fe]:80", "[64:ff9b::7f00:1]:80", "[2002:7f00:1::]:80", "[2002:a9fe:a9fe::1]:80", "224.0.0.1:80", "[ff02::1]:80",
		"255.255.255.255:80", "[fd00:ec2::254]:80", "100.100.100.200:80", "168.63.129.16:80", "192.0.0.192:80",
	}
	for _, address := range refused {
		require.ErrorIs(t, checkEgress(nil, "tcp4", address), ErrEgress, address)
	}
	for _, address := range []string{"10.0.0.1:80", "192.168.1.1:9090", "172.16.0.1:80", "203.0.113.9:443", "[2001:db8::1]:443", "[fd12::1]:80", "[64:ff9b::a00:1]:80"} {
		require.NoError(t, checkEgress(nil, "tcp", address), address)
	}
	for _, address := range []string{"127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[64:ff9b::7f00:1]:80"} {
		require.NoError(t, checkEgress(loopback, "tcp", address), address)
	}
	require.ErrorIs(t, checkEgress(loopback, "tcp", "169.254.169.254:80"), ErrEgress, "listing one does not list another")
	require.ErrorIs(t, checkEgress(nil, "tcp", "localhost:80"), ErrEgress, "a name was not resolved")
	require.NoError(t, checkEgress(nil, "unix", "/run/haproxy/admin.sock"))
}

// The name is judged by what it resolves to, by the real dialer and the real resolver.
func TestDialerJudgesAfterResolution(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1"} {
		_, err := NewDialer(nil)(t.Context(), "tcp", net.JoinHostPort(host, port))
		require.ErrorIs(t, err, ErrEgress, host)
	}
	conn, err := NewDialer(loopback)(t.Context(), "tcp", "localhost:"+port)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestDialerReachesUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	conn, err := NewDialer(nil)(t.Context(), "unix", path)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestEgressIsPermanentAndSentNothing(t *testing.T) {
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(server.Close)
	h, err := NewHTTP(HTTPConfig{}, NewDialer(nil))
	require.NoError(t, err)
	for _, ask := range []func() error{
		func() error { _, err := h.Get(context.Background(), server.URL, nil); return err },
		func() error { _, err := h.Exchange(context.Background(), Request{URL: server.URL}); return err },
	} {
		err := ask()
		require.ErrorIs(t, err, ErrEgress)
		require.True(t, actions.IsPermanent(err))
		require.False(t, Sent(err))
		require.True(t, strings.Contains(err.Error(), "egress.allow"), err)
	}
	require.False(t, reached)
}
