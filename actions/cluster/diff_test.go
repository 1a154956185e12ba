package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: shop, %s}, spec: {%s}}`

func TestADiffHasOneLineAChange(t *testing.T) {
	for name, c := range map[string]struct{ before, after, lines string }{
		"scale":  {"replicas: 3", "replicas: 0", "~ Deployment shop/api spec.replicas: 3 -> 0"},
		"gone":   {"replicas: 3", "", "- Deployment shop/api spec.replicas: 3"},
		"new":    {"", "paused: true", "+ Deployment shop/api spec.paused: true"},
		"to nil": {"x: 1", "x: null", "~ Deployment shop/api spec.x: 1 -> null"},
		"containers are found by name": {"c: [{name: a, image: one}, {name: b, image: two}]", "c: [{name: b, image: three}, {name: a, image: one}]",
			`~ Deployment shop/api spec.c[b].image: "two" -> "three"`},
		"a sidecar comes": {"c: [{name: a}]", "c: [{name: a}, {name: b}]", `+ Deployment shop/api spec.c[b]: {"name":"b"}`},
		"by position":     {"args: [a, b]", "args: [a, c, d]", "~ Deployment shop/api spec.args[1]: \"b\" -> \"c\"\n+ Deployment shop/api spec.args[2]: \"d\""},
		"two of a name":   {"e: [{name: a, value: 1}, {name: a, value: 2}]", "e: [{name: a, value: 1}, {name: a, value: 3}]", "~ Deployment shop/api spec.e[1].value: 2 -> 3"},
		"keys with dots":  {"s: {app.kubernetes.io/name: a}", "s: {app.kubernetes.io/name: b}", `~ Deployment shop/api spec.s[app.kubernetes.io/name]: "a" -> "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			lines := Diff(object(t, fmt.Sprintf(deployment, "", c.before)), object(t, fmt.Sprintf(deployment, "", c.after)))
			require.Equal(t, c.lines, strings.Join(lines, "\n"))
		})
	}
}

func TestADiffLeavesOutWhatTheServerWrites(t *testing.T) {
	before := object(t, fmt.Sprintf(deployment, "resourceVersion: '1', generation: 1, uid: a, managedFields: [{manager: a}]", "replicas: 1"))
	after := object(t, fmt.Sprintf(deployment, "resourceVersion: '2', generation: 2, uid: a, managedFields: [{manager: b}]", "replicas: 1"))
	after.Object["status"] = map[string]any{"replicas": int64(1)}
	require.Empty(t, Diff(before, after))
	require.Equal(t, []string{"+ Deployment shop/api"}, Diff(nil, after))
	require.Equal(t, []string{"- Deployment shop/api"}, Diff(before, nil))
	require.Empty(t, Diff(nil, nil))
}

// What is secret is shown as a digest: that it changes can be approved, what it is stays unseen.
func TestADiffShowsNoSecret(t *testing.T) {
	secret := `{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop, annotations: {note: %q}}, data: {password: %q}, stringData: {other: %q}}`
	lines := Diff(object(t, fmt.Sprintf(secret, "a", "aHVudGVyMg==", "hunter2")), object(t, fmt.Sprintf(secret, "b", "Y29ycmVjdA==", "correct")))
	text := strings.Join(lines, "\n")
	require.Regexp(t, `~ Secret shop/db data.password: sha256:[0-9a-f]{12} -> sha256:[0-9a-f]{12}`, text)
	for _, hidden := range []string{"aHVudGVyMg==", "Y29ycmVjdA==", "hunter2", "correct"} {
		require.NotContains(t, text, hidden)
	}
	require.Contains(t, text, `note: "a" -> "b"`)
	added := Diff(object(t, `{apiVersion: v1, kind: Secret, metadata: {name: db}}`), object(t, `{apiVersion: v1, kind: Secret, metadata: {name: db}, data: {password: aHVudGVyMg==}}`))
	require.Regexp(t, `^\+ Secret db data: sha256:[0-9a-f]{12}$`, strings.Join(added, "\n"))
}

func TestADiffIsBounded(t *testing.T) {
	many := func(value string) string {
		var fields []string
		for n := range 300 {
			fields = append(fields, fmt.Sprintf("k%03d: %s", n, value))
		}
		return strings.Join(fields, ", ")
	}
	lines := Diff(object(t, fmt.Sprintf(deployment, "", many("a"))), object(t, fmt.Sprintf(deployment, "", many("b"))))
	require.Len(t, lines, maxLines+1)
	require.Equal(t, "~ Deployment shop/api and 100 more", lines[maxLines])
	long := Diff(object(t, fmt.Sprintf(deployment, "", "x: a")), object(t, fmt.Sprintf(deployment, "", "x: "+strings.Repeat("é", 5000))))
	require.Less(t, len(long[0]), 400)
	require.Contains(t, long[0], "… (10002 bytes, sha256:")
}

// Control characters, bidirectional overrides and bytes that are no text do not reach a terminal or a page as they are.
func TestADiffIsReadable(t *testing.T) {
	before := object(t, fmt.Sprintf(deployment, "", "x: a"))
	after := before.DeepCopy()
	after.Object["spec"] = map[string]any{"x": "\x1b[2J\u202eevil\xff\n"}
	require.Equal(t, []string{`~ Deployment shop/api spec.x: "a" -> "\u001b[2J\u202eevil\ufffd\n"`}, Diff(before, after))
}
