//go:build neighbours

package repository_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/repository/repositorytest"
)

// withSSH puts a real ssh on the PATH.
func withSSH(t *testing.T) {
	t.Setenv("PATH", filepath.Dir(actiontest.Neighbour(t, "ssh"))+":"+os.Getenv("PATH"))
}

func TestBySSH(t *testing.T) {
	withSSH(t)
	o := newOrigin(t)
	r := repositorytest.Open(t, o.SSH(t))
	commit, err := land(t, r)
	require.NoError(t, err)
	require.Equal(t, commit, o.Server(t, "rev-parse", "main"))
	require.NoError(t, r.Ready(t.Context(), "main"))
}

func TestBySSHRefused(t *testing.T) {
	withSSH(t)
	o := newOrigin(t)
	other := o.SSH(t)
	for name, c := range map[string]struct {
		change func(*repository.Connection)
		want   string
	}{
		"unknown server": {func(c *repository.Connection) { require.NoError(t, os.WriteFile(c.SSH.KnownHostsFile, nil, 0o600)) }, "the server's key is not the one in ssh.known_hosts_file"},
		"another server": {func(c *repository.Connection) {
			line, err := os.ReadFile(other.SSH.KnownHostsFile)
			require.NoError(t, err)
			mine, err := os.ReadFile(c.SSH.KnownHostsFile)
			require.NoError(t, err)
			name, _, _ := strings.Cut(string(mine), " ")
			_, key, _ := strings.Cut(string(line), " ")
			require.NoError(t, os.WriteFile(c.SSH.KnownHostsFile, []byte(name+" "+key), 0o600))
		}, "the server's key is not the one in ssh.known_hosts_file"},
		"another key": {func(c *repository.Connection) { c.SSH.KeyFile = other.SSH.KeyFile }, "the server refuses the credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			connection := o.SSH(t)
			c.change(connection)
			err := repositorytest.Open(t, connection).Fetch(t.Context())
			require.ErrorContains(t, err, c.want)
			require.True(t, actions.IsPermanent(err))
		})
	}
}

func TestSSHKeepsToTheEgressRules(t *testing.T) {
	withSSH(t)
	opened, err := newOrigin(t).SSH(t).Open(client.NewDialer(nil))
	require.NoError(t, err)
	require.ErrorIs(t, opened.(*repository.Repository).Fetch(t.Context()), client.ErrEgress)
}

// The server is known by its name in the configuration, and reached at the address that passed.
func TestSSHIsHeldToTheAddressThatPassed(t *testing.T) {
	withSSH(t)
	o := newOrigin(t)
	c := o.SSH(t)
	at, err := url.Parse(c.URL)
	require.NoError(t, err)
	known, err := os.ReadFile(c.SSH.KnownHostsFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.SSH.KnownHostsFile, []byte(strings.Replace(string(known), "localhost", "example.com", 1)), 0o600))
	c.URL = strings.Replace(c.URL, "localhost", "example.com", 1)
	commit, err := land(t, elsewhere(t, c, "127.0.0.1:"+at.Port()))
	require.NoError(t, err)
	require.Equal(t, commit, o.Server(t, "rev-parse", "main"))
}
