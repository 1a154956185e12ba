package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	yaml "go.yaml.in/yaml/v4"

	"astern.dev/astern/examples/demo/config"
)

func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	all := map[string]*jsonschema.Schema{}
	for _, k := range schemaKinds {
		s, err := k.make()
		require.NoError(t, err)
		raw, err := json.Marshal(s)
		require.NoError(t, err)
		all[k.name] = compiledText(t, raw)
	}
	return all
}

// files are all files of one kind among the examples, the test world and the documents.
func schemaFiles(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, pattern := range []string{"../../examples/*/*.yaml", "testdata/world/*.yaml"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			all[name] = data
		}
	}
	for _, a := range []config.Addresses{{HAProxySocket: "/run/haproxy/admin.sock"}, {ProxyURL: "http://127.0.0.1:9000"}} {
		for _, name := range config.Astern(a) {
			data, err := config.Render(name, a)
			require.NoError(t, err)
			all["examples/demo/"+strconv.Itoa(len(all))+"/"+name] = data
		}
	}
	documents, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	for _, name := range append(documents, "../../README.md", "../../CONTRIBUTING.md") {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		for i, m := range yamlBlock.FindAllSubmatch(data, -1) {
			all[name+":"+strconv.Itoa(i)] = wholeFile(m[1])
		}
	}
	return all
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// wholeFile puts a single step or communication into a file.
func wholeFile(block []byte) []byte {
	indented := "      " + strings.Join(strings.Split(strings.TrimSpace(string(block)), "\n"), "\n      ") + "\n"
	switch text := strings.TrimSpace(string(block)); {
	case strings.HasPrefix(text, "- name:"):
		return []byte("procedures:\n  - name: p\n    steps:\n" + indented)
	case strings.HasPrefix(text, "to:"):
		return []byte("communications:\n    -\n" + indented)
	}
	return block
}

func asJSONValue(t *testing.T, data []byte) any {
	t.Helper()
	var value any
	require.NoError(t, yaml.Unmarshal(data, &value))
	raw, err := json.Marshal(value)
	require.NoError(t, err)
	return decoded(t, raw)
}

// kindName is the schema that a file belongs to; empty for a neighbour's.
func kindName(name string, data []byte) string {
	if strings.Contains(string(data), "\ntests:") {
		return "tests"
	}
	kind := kindOf(name, data)
	if kind == "config" {
		return "astern"
	}
	if slices.Contains(schemaNames(), kind) {
		return kind
	}
	return ""
}

func TestTheSchemasAcceptWhatAsternReads(t *testing.T) {
	all, seen := schemas(t), map[string]bool{}
	for name, data := range schemaFiles(t) {
		if kind := kindName(name, data); kind != "" {
			seen[kind] = true
			require.NoError(t, all[kind].Validate(asJSONValue(t, data)), "%s is refused as %s", name, kind)
		}
	}
	for _, kind := range schemaNames() {
		require.True(t, seen[kind] || kind == "tests", "no example of %s was seen", kind)
	}
}

// A key that astern does not know is refused wherever it stands, unless the place takes any.
func TestTheSchemasRefuseUnknownKeys(t *testing.T) {
	all := schemas(t)
	for name, data := range schemaFiles(t) {
		kind := kindName(name, data)
		if kind == "" || kind == "tests" {
			continue
		}
		spoiled := 0
		spoil(asJSONValue(t, data), "", func(path string, whole any) {
			spoiled++
			require.Error(t, all[kind].Validate(whole), "%s: an unknown key at %s is taken", name, path)
		})
		require.Positive(t, spoiled)
	}
}

// free are the places that take any key.
var free = regexp.MustCompile(`/(vars|labels|annotations|select|selector|modes|channels|connections|env|env_files|headers|body|form|guards/[a-z_]+)(/|$)`)

// spoil puts an unknown key into each map in turn.
func spoil(whole any, _ string, see func(path string, whole any)) {
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			if !free.MatchString(path) {
				v["nonsense"] = "x"
				see(path, whole)
				delete(v, "nonsense")
			}
			for name, inner := range v {
				walk(inner, path+"/"+name)
			}
		case []any:
			for i, inner := range v {
				walk(inner, path+"/"+strconv.Itoa(i))
			}
		}
	}
	walk(whole, "")
}

func TestTheSchemasRefuse(t *testing.T) {
	all := schemas(t)
	for name, c := range map[string]struct{ kind, text string }{
		"a mode":            {"rules", "groups: [{name: g, rules: [{rule: R, when: x, do: rollback, mode: automatic}]}]"},
		"a rule's key":      {"rules", "groups: [{name: g, rules: [{rule: R, nonsense: x, when: x, do: rollback}]}]"},
		"no when":           {"rules", "groups: [{name: g, rules: [{rule: R, do: rollback}]}]"},
		"a length of time":  {"rules", "groups: [{name: g, rules: [{rule: R, when: x, do: rollback, for: 5 minutes}]}]"},
		"a guard":           {"rules", "groups: [{name: g, rules: [{rule: R, when: x, do: rollback, guards: {cooldwn: 1h}}]}]"},
		"no reason":         {"rules", "groups: [{name: g, rules: [{rule: R, when: x, do: rollback, confirm: {waived: ''}}]}]"},
		"an action":         {"procedures", "procedures: [{name: p, steps: [{name: s, uses: wiat}]}]"},
		"a parameter":       {"procedures", "procedures: [{name: p, steps: [{name: s, uses: wait, with: {fro: 1s}}]}]"},
		"a parameter's own": {"procedures", "procedures: [{name: p, steps: [{name: s, uses: haproxy/weights, with: {backend: b, weights: [{sever: a, weight: 1}]}}]}]"},
		"a number":          {"procedures", "procedures: [{name: p, steps: [{name: s, uses: haproxy/weights, with: {backend: b, weights: [{server: a, weight: much}]}}]}]"},
		"rollback":          {"procedures", "procedures: [{name: rollback, steps: [{name: s, uses: wait, with: {for: 1s}}]}]"},
		"an empty select":   {"targets", "targets: [{name: a, environment: e, select: {}}]"},
		"a channel":         {"communications", "communications: [{to: a, via: slak, within: 0s}]"},
		"a connection":      {"astern", "connections: {prometheus: {eu: {ulr: x}}}"},
		"a kind":            {"astern", "connections: {promtheus: {eu: {url: x}}}"},
		"a secret":          {"astern", "connections: {prometheus: {eu: {url: x, http_config: {bearer_token: x}}}}"},
		"a role":            {"astern", "people: [{name: a, role: boss}]"},
	} {
		t.Run(name, func(t *testing.T) { require.Error(t, all[c.kind].Validate(asJSONValue(t, []byte(c.text)))) })
	}
	for name, c := range map[string]struct{ kind, text string }{
		"a template for a number": {"procedures", "procedures: [{name: p, steps: [{name: s, uses: haproxy/weights, with: {backend: b, weights: [{server: a, weight: '${target.vars.w}'}]}}]}]"},
		"days":                    {"rules", "groups: [{name: g, rules: [{rule: R, when: x, do: rollback, for: 2d}]}]"},
		"nothing":                 {"rules", "groups: [{name: g, rules: [{rule: R, when: x, do: rollback, for: 0}]}]"},
		"http_config":             {"astern", "connections: {prometheus: {eu: {url: x, http_config: {tls_config: {ca_file: x, min_version: TLS12}, proxy_url: 'http://p', basic_auth: {username: a, password_file: b}}}}}"},
		"guards":                  {"astern", "guards: {cooldown: 'off', changing_at_once: 1, mass_event: {targets: 5, within: 10m}}"},
	} {
		t.Run(name, func(t *testing.T) { require.NoError(t, all[c.kind].Validate(asJSONValue(t, []byte(c.text)))) })
	}
}

// The keys that a schema knows are those that the readers ask for: each list of keys that a reader gives stands in a schema.
func TestTheSchemasKnowTheReadersKeys(t *testing.T) {
	known := map[string]bool{}
	for _, k := range schemaKinds {
		s, err := k.make()
		require.NoError(t, err)
		raw, err := json.Marshal(s)
		require.NoError(t, err)
		objects(asJSONValue(t, raw), func(keys []string) { known[strings.Join(keys, " ")] = true })
	}
	read := 0
	for _, pattern := range []string{"../../rules/*.go", "../../engine/plan/*.go", "../../engine/config/*.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, m := range mapCall.FindAllSubmatch(data, -1) {
				var keys []string
				for _, q := range quotedWord.FindAllSubmatch(m[1], -1) {
					keys = append(keys, string(q[1]))
				}
				slices.Sort(keys)
				read++
				require.True(t, known[strings.Join(keys, " ")], "%s reads a map of %v, which no schema has", name, keys)
			}
		}
	}
	require.Greater(t, read, 15)
}

var (
	mapCall    = regexp.MustCompile(`\.Map\(((?:"[a-z_]+",?\s*)+)\)`)
	quotedWord = regexp.MustCompile(`"([a-z_]+)"`)
)

func objects(v any, see func(keys []string)) {
	switch v := v.(type) {
	case map[string]any:
		if properties, is := v["properties"].(map[string]any); is {
			var keys []string
			for name := range properties {
				keys = append(keys, name)
			}
			slices.Sort(keys)
			see(keys)
		}
		for _, inner := range v {
			objects(inner, see)
		}
	case []any:
		for _, inner := range v {
			objects(inner, see)
		}
	}
}
