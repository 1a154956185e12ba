package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
)

// httpConnection is configured as the connections of the product are.
type httpConnection struct {
	URL     string                      `yaml:"url"`
	HTTP    promconfig.HTTPClientConfig `yaml:"http_config"`
	Sockets []string                    `yaml:"sockets"`
}

func (c *httpConnection) Validate() error {
	if c.URL == "" && len(c.Sockets) == 0 {
		return errors.New("url is missing")
	}
	return nil
}
func (c *httpConnection) Open(actions.Dial) (any, error) { return c, nil }
func (c *httpConnection) SetDirectory(dir string)        { c.HTTP.SetDirectory(dir) }

func registry(t testing.TB) *actions.Registry {
	t.Helper()
	var families []actions.Family
	for _, kind := range []string{"alertmanager", "prometheus", "haproxy"} {
		families = append(families, actions.Family{Kind: kind, NewConnection: func() actions.Connection { return new(httpConnection) }})
	}
	r, err := actions.NewRegistry(families...)
	require.NoError(t, err)
	return r
}

const whole = `
storage: {url: "sqlite:astern.db"}
rule_files: [rules/*.yaml]
target_files: [targets.yaml]
senders:
  - {name: alertmanager-eu, type: alertmanager, bearer_token_file: secrets/eu, connection: eu}
  - {name: by-password, username: am, password_file: /run/pw}
connections:
  alertmanager: {eu: {url: "http://am:9093"}}
  prometheus:
    eu:
      url: http://prom:9090
      http_config: {authorization: {credentials_file: secrets/prom}}
  haproxy: {edge: {sockets: [/run/haproxy/admin.sock]}}
modes: {default: observe, production: auto}
guards: {cooldown: 5m, recent_change: "off", max_per_hour: 4, flapping: {episodes: 4, within: 20m}}
egress: {allow: [127.0.0.0/8, "::1"]}
people:
  - {name: on-call, address: on-call@example.org, role: approver, token_file: secrets/on-call}
  - {name: platform, role: admin, token_file: secrets/platform}
teams:
  - {name: core, people: [on-call], channels: {slack: "#core"}, guards: {max_per_day: 2}}
retention: {incidents: 30d}
`

func TestAWholeConfigurationIsRead(t *testing.T) {
	c, problems := Load("/etc/astern/astern.yaml", []byte(whole), registry(t))
	require.NoError(t, problems.Err())
	require.Equal(t, "sqlite:astern.db", c.Storage)
	require.Equal(t, []string{"rules/*.yaml"}, c.RuleFiles)
	require.Equal(t, Sender{Name: "alertmanager-eu", Type: "alertmanager", BearerTokenFile: "/etc/astern/secrets/eu", Connection: "eu"}, c.Senders[0])
	require.Equal(t, "/run/pw", c.Senders[1].PasswordFile)
	prometheus := c.Connections["prometheus"]["eu"].(*httpConnection)
	require.Equal(t, "/etc/astern/secrets/prom", prometheus.HTTP.Authorization.CredentialsFile)
	require.Equal(t, incident.Auto, c.Modes.Ceiling("production"))
	require.Equal(t, incident.Observe, c.Modes.Ceiling("staging"))
	require.Equal(t, 5*time.Minute, c.Guards.Cooldown.Value)
	require.True(t, c.Guards.RecentChange.Off)
	require.Equal(t, incident.Burst{Count: 4, Within: 20 * time.Minute}, c.Guards.Flapping.Value)
	require.Equal(t, 10, c.Guards.MaxPerDay.Value)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, c.Egress.Allow)
	require.Equal(t, Person{Name: "on-call", Address: "on-call@example.org", Role: Approver, TokenFile: "/etc/astern/secrets/on-call"}, c.People[0])
	require.Equal(t, 2, c.Teams[0].Guards.MaxPerDay.Value)
	require.Equal(t, 30*24*time.Hour, c.Retention.Incidents)
	require.Equal(t, 14*24*time.Hour, c.Retention.Deliveries)
	require.Equal(t, map[string][]string{"alertmanager": {"eu"}, "haproxy": {"edge"}, "prometheus": {"eu"}}, c.ConnectionNames())
}

func TestAnEmptyConfigurationIsTheDefaults(t *testing.T) {
	c, problems := Load("astern.yaml", nil, registry(t))
	require.NoError(t, problems.Err())
	require.Equal(t, incident.DefaultGuards(), c.Guards)
	require.Equal(t, incident.Observe, c.Modes.Ceiling("production"))
	require.Empty(t, c.Egress.Allow)
}

// Each case is astern.yaml with mistakes and what `astern check` prints.
func TestMistakesAreToldWithTheirPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			_, problems := Load("astern.yaml", archive.Files[0].Data, registry(t))
			if os.Getenv("UPDATE") != "" {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "diagnostics", Data: []byte(problems.String() + "\n")})
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o600))
			}
			require.Len(t, archive.Files, 2)
			require.Equal(t, string(archive.Files[1].Data), problems.String()+"\n")
			require.Error(t, problems.Err())
			require.Contains(t, string(archive.Files[0].Data), "hunter")
			require.NotContains(t, problems.String()+problems.Error(), "hunter", "no secret in any error")
		})
	}
}

func TestFilesAreFoundBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("rules/a.yaml", "a")
	write("rules/b.yaml", "b")
	write("targets.yaml", "t")
	c, problems := Load(filepath.Join(dir, "astern.yaml"), []byte("rule_files: [rules/*.yaml, rules/a.yaml]\ntarget_files: [targets.yaml]\nprocedure_files: [none/*.yaml]\n"), registry(t))
	require.NoError(t, problems.Err())
	files, problems := c.Read()
	require.Len(t, files.Rules, 2)
	require.Equal(t, []byte("t"), files.Targets[filepath.Join(dir, "targets.yaml")])
	require.Len(t, problems, 1)
	require.Contains(t, problems[0].Message, `no file is found by "none/*.yaml"`)
	require.Equal(t, 3, problems[0].Line)

	digest := c.DigestWith(files)
	write("rules/b.yaml", "b2")
	again, problems := c.Read()
	require.Len(t, problems, 1, "an earlier reading leaves nothing behind")
	require.NotEqual(t, digest, c.DigestWith(again))
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add("connections: {prometheus: {eu: 3}}")
	f.Add("guards: {flapping: [1]}\nmodes: 3\nteams: [{people: [x, [y]]}]\nsenders: [1, {}]")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := Load("astern.yaml", []byte(text), registry(t))
		if problems.Err() == nil {
			require.NotNil(t, c)
			return
		}
		for _, d := range problems {
			require.LessOrEqual(t, d.Line, strings.Count(text, "\n")+2)
			require.NotEmpty(t, d.String())
		}
	})
}
