package slack

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/message/fault"
	"astern.dev/astern/actions/message/messagetest"
	"astern.dev/astern/actions/slack/slacktest"
)

func TestSlack(t *testing.T) {
	actiontest.Run(t, Family().Actions[0].New, actiontest.Case{
		Name: "first telling", YAML: "channel: \"#incidents\"\nmention: [U0ONCALL]", World: world, Env: messagetest.Tell,
		Temporary: []int{408, 425, 429, 500, 502, 503, 504}, Permanent: []int{301, 302, 400, 401, 403, 404, 405, 410, 413},
	})
}

func world(t *testing.T) *actiontest.World {
	double := slacktest.New()
	server := httptest.NewServer(double)
	t.Cleanup(server.Close)
	always := func(f fault.Fault) func() {
		return func() {
			for _, method := range []string{"chat.postMessage", "auth.test", "conversations.list", "conversations.history"} {
				double.Fail(method, fault.Each(f)...)
			}
		}
	}
	return &actiontest.World{
		Connections: map[string]any{kind: openAt(t, server.URL+"/api", slacktest.Token)},
		State: func() string {
			raw, err := json.Marshal(double.Posted(slacktest.Incident))
			require.NoError(t, err)
			return string(raw)
		},
		Canary: slacktest.Token,
		Stall:  always(fault.SlowBefore),
		Status: func(code int) { always(fault.Say(code, `{}`))() },
		Break: map[string]func(){
			"connections are cut": always(fault.DropBefore), "a proxy answers": always(fault.HTMLPage),
			"slack refuses": always(fault.Say(200, `{"ok":false,"error":"invalid_auth"}`)), "slack is down": server.Close,
		},
	}
}

func TestConnectionsReadAsWritten(t *testing.T) {
	var c Connection
	require.NoError(t, yaml.Load([]byte("url: http://127.0.0.1:1/api\ntoken_file: slack.token\nrecheck: 2s\ntimeout: 3s\nhttp_config: {proxy_url: \"http://proxy.example\"}"),
		&c, yaml.WithKnownFields()))
	require.NoError(t, c.Validate())
	require.Equal(t, "proxy.example", c.HTTPConfig.ProxyURL.Host)
	require.Equal(t, "slack.token", c.TokenFile)
	_, err := actions.NewRegistry(Family())
	require.NoError(t, err)
}
