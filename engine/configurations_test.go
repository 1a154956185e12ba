package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// remembering is a rig whose configurations are kept; their snapshot is their name.
func remembering(t *testing.T) (r *rig, reread *int) {
	reread = new(int)
	r = newRig(t, func(r *rig) {
		r.opts = func(o *engine.Options) {
			o.Config.Source = []byte("config")
			o.Reopen = func(snapshot []byte) (*engine.Configuration, error) {
				*reread++
				if string(snapshot) == "torn" {
					return nil, errors.New("not in one piece")
				}
				return &engine.Configuration{Rules: o.Config.Rules, Book: o.Config.Book}, nil
			}
		}
	})
	return r, reread
}

func (r *rig) reload(digest, source string) error {
	c := *r.configuration(r.files)
	c.Digest, c.Source = digest, []byte(source)
	return r.engine.Reload(r.t.Context(), &c)
}

func TestAConfigurationIsKeptBeforeItIsInForce(t *testing.T) {
	r, _ := remembering(t)
	body, at, err := r.store.Configuration(t.Context(), "config")
	require.NoError(t, err, "the first one at the start")
	require.Equal(t, "config", string(body))
	require.Equal(t, start, at)
	require.NoError(t, r.reload("two", "two"))
	body, _, err = r.store.Configuration(t.Context(), "two")
	require.NoError(t, err)
	require.Equal(t, "two", string(body))
	require.NoError(t, r.reload("unkept", ""))
	_, _, err = r.store.Configuration(t.Context(), "unkept")
	require.ErrorIs(t, err, incident.ErrNotFound)

	require.NoError(t, r.reload("two", "two"))
	require.NoError(t, r.store.Close())
	require.ErrorIs(t, r.reload("three", "three"), incident.ErrUnavailable)
	running, err := r.engine.ConfigurationAt(t.Context(), "two")
	require.NoError(t, err, "what could not be kept is not in force")
	require.NotEmpty(t, running.Settings.Connections)
	r.open()
}

func TestConfigurationsOfThePast(t *testing.T) {
	r, reread := remembering(t)
	for n := range 6 {
		require.NoError(t, r.reload(fmt.Sprint(n), fmt.Sprint("source ", n)))
	}
	require.NoError(t, r.reload("torn", "torn"))
	require.NoError(t, r.reload("last", "last"))
	ask := func(digest string, readings int) *engine.Configuration {
		t.Helper()
		c, err := r.engine.ConfigurationAt(t.Context(), digest)
		require.NoError(t, err)
		require.Equal(t, digest, c.Digest)
		require.Equal(t, readings, *reread)
		return c
	}
	ask("last", 0)
	first := ask("0", 1)
	require.Equal(t, "source 0", string(first.Source))
	ask("1", 2)
	ask("2", 3)
	require.Same(t, first, ask("0", 3))
	ask("3", 4)
	ask("4", 5)
	ask("0", 5)
	ask("1", 6) // four are remembered
	_, err := r.engine.ConfigurationAt(t.Context(), "torn")
	require.ErrorContains(t, err, "read configuration torn as it was kept: not in one piece")
	_, err = r.engine.ConfigurationAt(t.Context(), "never")
	require.ErrorIs(t, err, engine.ErrNotFound)
}

func TestWithoutAReaderThePastIsClosed(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.reload("two", "two"))
	require.NoError(t, r.reload("three", "three"))
	_, err := r.engine.ConfigurationAt(t.Context(), "two")
	require.ErrorContains(t, err, "nothing here can read it")
}
