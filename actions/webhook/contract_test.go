package webhook

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/message"
	"astern.dev/astern/actions/message/fault"
	"astern.dev/astern/actions/message/messagetest"
)

func TestWebhook(t *testing.T) {
	actiontest.Run(t, Family().Actions[0].New, actiontest.Case{
		Name: "first telling", YAML: "---", World: world, Env: messagetest.Tell,
		Temporary: []int{408, 425, 429, 500, 502, 503, 504}, Permanent: []int{301, 302, 400, 401, 403, 404, 410, 413},
	})
}

func world(t *testing.T) *actiontest.World {
	r := &receiver{key: []byte(oldSecret)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	always := func(f fault.Fault) func() { return func() { r.faults.Add("/canary", fault.Each(f)...) } }
	connection := &Connection{Server: message.Server{URL: server.URL + "/canary"}, SecretFiles: []string{write(t, "secret", oldSecret)}}
	return &actiontest.World{
		Connections: map[string]any{kind: open(t, connection)},
		State:       func() string { r.mu.Lock(); defer r.mu.Unlock(); return fmt.Sprintf("%d taken", len(r.taken)) },
		Canary:      "canary",
		Stall:       always(fault.SlowBefore),
		Status:      func(code int) { always(fault.Say(code, `canary`))() },
		Break:       map[string]func(){"connections are cut": always(fault.DropBefore), "the receiver is down": server.Close},
	}
}

func TestConnectionsReadAsWritten(t *testing.T) {
	var c Connection
	require.NoError(t, yaml.Load([]byte("url_file: url\nsecret_files: [new, old]\ntimeout: 3s"), &c, yaml.WithKnownFields()))
	require.NoError(t, c.Validate())
	require.Equal(t, []string{"new", "old"}, c.SecretFiles)
}
