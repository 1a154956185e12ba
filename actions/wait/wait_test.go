package wait_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/wait"
)

func newWait() actions.Action { return &wait.Wait{} }

func TestWait(t *testing.T) {
	actiontest.Run(t, newWait, actiontest.Case{Name: "a moment", YAML: `for: 1ms`, World: func(*testing.T) *actiontest.World {
		return &actiontest.World{State: func() string { return "" }}
	}})
	require.Error(t, (&wait.Wait{For: -1}).Validate())
}

func TestCancelEndsTheWait(t *testing.T) {
	action, err := actiontest.Decode(newWait, `for: 2d`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := action.Run(ctx, actiontest.Env(&actiontest.World{}))
		done <- err
	}()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}
