package ruletest_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	yaml "go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/engine/simulate/ruletest"
)

// What is read fits the schema; the file of unknown keys and words does not.
func TestSchema(t *testing.T) {
	raw, err := json.Marshal(ruletest.Schema())
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("tests.json", document))
	schema, err := compiler.Compile("tests.json")
	require.NoError(t, err)

	valid := func(name string) error {
		archive, err := txtar.ParseFile(name)
		require.NoError(t, err)
		var value any
		for _, f := range archive.Files {
			if f.Name == "tests.yaml" {
				require.NoError(t, yaml.Unmarshal(f.Data, &value))
			}
		}
		text, err := json.Marshal(value)
		require.NoError(t, err)
		read, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		return schema.Validate(read)
	}
	names, err := filepath.Glob("testdata/run/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.NoError(t, valid(name), name)
	}
	for _, name := range []string{"unknown", "empty", "noexpect"} {
		require.Error(t, valid(filepath.Join("testdata/load", name+".txtar")), name)
	}
}
