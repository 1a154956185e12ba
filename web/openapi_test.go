package web

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheAPIDocumentIsTheTableOfRoutes(t *testing.T) {
	f := newFixture(t)
	a := f.send(f.request("GET", "/api/v1/openapi.json", ""))
	require.Equal(t, 200, a.StatusCode)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Summary     string
			Role        Role `json:"x-astern-role"`
			Parameters  []struct{ Name, In string }
			RequestBody *struct{ Content map[string]any }
			Responses   map[string]struct{ Content map[string]any }
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(a.body, &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)

	operations, ids := 0, map[string]bool{}
	for _, r := range f.routes() {
		o, ok := doc.Paths[r.path][strings.ToLower(r.method)]
		require.True(t, ok, r.path)
		require.Equal(t, r.role, o.Role)
		require.NotEmpty(t, o.Summary)
		require.False(t, ids[o.OperationID], o.OperationID)
		ids[o.OperationID] = true
		require.Len(t, o.Parameters, strings.Count(r.path, "{")+len(r.query))
		require.Contains(t, o.Responses, "200")
		require.Contains(t, o.Responses, "default")
	}
	for _, of := range doc.Paths {
		operations += len(of)
	}
	require.Equal(t, len(f.routes()), operations, "nothing is in the document that is not in the table")
	everyReferenceResolves(t, a.body, doc.Components.Schemas)

	properties := func(schema string) map[string]any {
		return doc.Components.Schemas[schema]["properties"].(map[string]any)
	}
	require.ElementsMatch(t, []any{"plan"}, doc.Components.Schemas["ApproveRequest"]["required"])
	require.Contains(t, properties("HeadList"), "items")
	require.Contains(t, properties("HeadList"), "apiVersion")
	require.Contains(t, properties("IncidentAnswer"), "incident")
	require.Contains(t, properties("PlanAnswer"), "findings", "embedded members stand beside the others")
	require.Contains(t, properties("Problem"), "hint")
}

func everyReferenceResolves(t *testing.T, doc []byte, schemas map[string]map[string]any) {
	var whole any
	require.NoError(t, json.Unmarshal(doc, &whole))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				name, local := strings.CutPrefix(ref, "#/components/schemas/")
				require.True(t, local, ref)
				require.NotEmpty(t, schemas[name], ref)
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, element := range v {
				walk(element)
			}
		}
	}
	walk(whole)
}
