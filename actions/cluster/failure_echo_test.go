package cluster

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server that refuses a patch for a field it does not know shows the whole object, with all its values: they go nowhere.
func TestARefusalDoesNotEchoTheObject(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		refuse(w, 422, "Invalid", ` "" is invalid: patch: Invalid value: "{\"spec\":{\"env\":[{\"name\":\"PASSWORD\",\"value\":\"hunter2\"}]},\n\"x\":1}": strict decoding error: unknown field "spec.nope"`,
			`"causes":[{"reason":"FieldValueInvalid","message":"Invalid value","field":"patch"}]`)
	})
	_, err := s.MergePatch(t.Context(), api, map[string]any{"spec": map[string]any{"nope": 1}}, PatchOptions{})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, `patch: strict decoding error: unknown field "spec.nope"`)
	require.NotContains(t, err.Error(), "hunter2")
}
