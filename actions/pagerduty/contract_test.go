package pagerduty

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/message/fault"
	"astern.dev/astern/actions/message/messagetest"
	"astern.dev/astern/actions/pagerduty/pagerdutytest"
)

func TestPagerDuty(t *testing.T) {
	actiontest.Run(t, Family().Actions[0].New, actiontest.Case{
		Name: "first telling", YAML: "severity: critical", World: world, Env: messagetest.Tell,
		Temporary: []int{408, 425, 429, 500, 502, 503, 504}, Permanent: []int{301, 302, 400, 401, 403, 404, 413},
	})
}

func world(t *testing.T) *actiontest.World {
	double := pagerdutytest.New()
	server := httptest.NewServer(double)
	t.Cleanup(server.Close)
	always := func(f fault.Fault) func() { return func() { double.Fail(fault.Each(f)...) } }
	return &actiontest.World{
		Connections: map[string]any{kind: openAt(t, server.URL, pagerdutytest.RoutingKey)},
		State:       func() string { return fmt.Sprintf("%d pages, %d alerts open", len(double.Pages()), len(double.Open())) },
		Canary:      pagerdutytest.RoutingKey,
		Stall:       always(fault.SlowBefore),
		Status:      func(code int) { always(fault.Say(code, `{}`))() },
		Break: map[string]func(){
			"connections are cut": always(fault.DropBefore), "a proxy answers": always(fault.HTMLPage), "pagerduty is down": server.Close,
			"the event is refused": always(fault.Say(400, `{"message":"bad","errors":["`+pagerdutytest.RoutingKey+`"]}`)),
		},
	}
}

func TestConnectionsReadAsWritten(t *testing.T) {
	var c Connection
	require.NoError(t, yaml.Load([]byte("url: https://events.eu.pagerduty.com\nrouting_key_file: key\ntimeout: 3s"), &c, yaml.WithKnownFields()))
	require.NoError(t, c.Validate())
	c.SetDirectory("/etc/astern")
	require.Equal(t, "/etc/astern/key", c.RoutingKeyFile)
}
