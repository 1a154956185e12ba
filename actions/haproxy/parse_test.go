package haproxy

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
)

// recorded is what HAProxy 2.6.12 answered.
func recorded(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return strings.TrimSpace(string(raw))
}

func TestParseRecordedAnswers(t *testing.T) {
	rows, err := parseState("web", recorded(t, "state.txt"))
	require.NoError(t, err)
	servers, err := parseServers("web", rows, recorded(t, "stat.csv"))
	require.NoError(t, err)
	require.Equal(t, []server{
		{name: "blue", address: "127.0.0.1:18081", status: "UP"},
		{name: "green", address: "127.0.0.1:18082", status: "DOWN", weight: 100},
		{name: "grey", address: "127.0.0.1:18083", status: "no check", weight: 100},
	}, servers)
	_, err = parseState("web", recorded(t, "no_backend.txt"))
	require.ErrorContains(t, err, `there is no backend "web"`)
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	state, stat := recorded(t, "state.txt"), recorded(t, "stat.csv")
	for name, c := range map[string]struct{ state, stat, message string }{
		"nothing":              {"", stat, "not known"},
		"another version":      {"2" + state[1:], stat, "not known"},
		"no servers":           {strings.Join(strings.SplitN(state, "\n", 3)[:2], "\n"), stat, "has no servers"},
		"a cut row":            {state[:len(state)-10], stat, "columns of 25"},
		"another backend":      {strings.ReplaceAll(state, " web ", " shop "), stat, `is a server of "shop"`},
		"two backends":         {strings.Replace(state, "3 web 2", "4 web 2", 1), stat, "is a server of"},
		"no number":            {strings.Replace(state, "2 0 0 0 2 15", "2 0 x 0 2 15", 1), stat, "column srv_uweight"},
		"no statistics":        {state, "No such proxy.", "not known"},
		"cut statistics":       {state, stat[:len(stat)-30], "not known"},
		"a server is missing":  {state, strings.ReplaceAll(stat, "web,grey,", "web,gray,"), `read server "grey"`},
		"other statistics":     {state, strings.ReplaceAll(stat, "web,green,", "shop,green,"), `its statistics are of "shop"`},
		"no sessions":          {state, strings.Replace(stat, "web,blue,0,0,0,", "web,blue,0,0,,", 1), "column scur"},
		"column names missing": {state, strings.Replace(stat, ",status,", ",stati,", 1), "name or status is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := parseState("web", c.state)
			if err == nil {
				_, err = parseServers("web", rows, c.stat)
			}
			require.ErrorContains(t, err, c.message)
		})
	}
}

func TestReady(t *testing.T) {
	for status, ready := range map[string]bool{"UP": true, "UP 1/3": true, "DOWN": false, "DOWN 1/2": false, "NOLB": false, "no check": false, "MAINT": false, "UPSIDE": false} {
		require.Equal(t, ready, server{status: status}.ready() == nil, status)
	}
	for admin := range 0x80 {
		require.Equal(t, admin == 0, server{status: "UP", admin: admin}.ready() == nil, "%#x", admin)
	}
}

func TestAnswersThatBreakOffAreErrors(t *testing.T) {
	p := &process{socket: "s"}
	for _, answer := range []string{"", "1\n# be_id", "No such server."} {
		_, err := p.whole("c", answer)
		require.ErrorContains(t, err, "broke off", "%q", answer)
	}
	said, err := p.whole("c", "\n")
	require.NoError(t, err)
	require.Empty(t, said)
}

func TestWeightsAreRefused(t *testing.T) {
	for parameters, message := range map[string]string{
		`{backend: web, weights: []}`: "at least one server",
		`{backend: web, weights: [{server: blue, weight: 0}, {server: green, weight: 0}]}`:     "all are 0",
		`{backend: web, weights: [{server: blue, weight: 100}, {server: blue, weight: 0}]}`:    "blue is listed twice",
		`{backend: web, weights: [{server: blue}]}`:                                            "weights[0].weight",
		`{backend: web, weights: [{server: blue, weight: 257}]}`:                               "from 0 to 256",
		`{backend: web, weights: [{server: blue, weight: -1}]}`:                                "from 0 to 256",
		`{backend: web, weights: [{server: "", weight: 1}]}`:                                   "weights[0].server",
		`{backend: "", weights: [{server: blue, weight: 1}]}`:                                  "backend",
		`{backend: "web;show info", weights: [{server: "a b", weight: 1}]}`:                    "weights[0].server",
		`{backend: "web;show info", weights: [{server: blue, weight: 1}]}`:                     "backend",
		`{backend: web, weights: [{server: blue, weight: 0}, {server: "x\ny", weight: 1000}]}`: "weights[1].weight",
	} {
		action, err := actiontest.Decode(func() actions.Action { return &Weights{} }, parameters)
		require.NoError(t, err)
		require.ErrorContains(t, action.Validate(), message, parameters)
	}
}

func TestSocketsAreRefused(t *testing.T) {
	for _, sockets := range [][]string{nil, {""}, {"admin.sock"}, {"tcp://host"}, {"tcp://:9999"}, {"tcp://h:1/x"}, {"http://h:1"}, {"/a", "/a"}} {
		require.Error(t, (&Connection{Sockets: sockets}).Validate(), "%q", sockets)
	}
	require.NoError(t, (&Connection{Sockets: []string{"/run/haproxy/admin.sock", "tcp://10.0.0.1:9999", "tcp://[fd00::1]:9999"}}).Validate())
}

// No name can begin a second command, address another server or ask another process.
func TestHostileNamesReachNoSocket(t *testing.T) {
	corpus := actiontest.Hostile()
	require.GreaterOrEqual(t, len(corpus), 200)
	env := actiontest.Env(&actiontest.World{}) // without a connection: what asks for one fails the test
	env.Connect = func(string, string) (any, error) { return nil, fmt.Errorf("a hostile name came through") }
	passed := 0
	for _, hostile := range corpus {
		one := 1
		for _, action := range []actions.Action{
			&Weights{Backend: hostile, Weights: []ServerWeight{{"blue", &one}}}, &Weights{Backend: "web", Weights: []ServerWeight{{hostile, &one}}},
			&Drain{Backend: hostile, Server: "green"}, &Drain{Backend: "web", Server: hostile},
		} {
			if name.MatchString(hostile) {
				passed++
				require.NotContains(t, hostile, "/")
				continue
			}
			require.Error(t, action.Validate(), "%q", hostile)
			_, err := action.Plan(t.Context(), env)
			require.NotContains(t, err.Error(), "came through", "%q", hostile)
			_, err = action.Run(t.Context(), env)
			require.NotContains(t, err.Error(), "came through", "%q", hostile)
		}
	}
	require.Less(t, passed, 4*40, "only words of plain letters pass")
}
