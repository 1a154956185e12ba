package manifest

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
)

// repo is a repository at a commit: files by path. Like the real one it refuses a path that is not there.
func repo(files map[string]string) *tree {
	return newTree(func(_ context.Context, at string) (map[string][]byte, error) {
		found := map[string][]byte{}
		for name, content := range files {
			if at == "." || name == at || strings.HasPrefix(name, at+"/") {
				found[name] = []byte(content)
			}
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("there is no %s at commit", at)
		}
		return found, nil
	})
}

func unpacked(archive string) map[string]string {
	files := map[string]string{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

func names(objects []*unstructured.Unstructured) []string {
	var all []string
	for _, obj := range objects {
		all = append(all, path.Join(obj.GetKind(), obj.GetNamespace(), obj.GetName()))
	}
	return all
}

func TestPlain(t *testing.T) {
	r := &Revert{Path: "deploy", Commit: "0123456789", Namespace: "shop"}
	files := unpacked(`
-- deploy/b.yaml --
# a comment alone is no object
---
apiVersion: v1
kind: Service
metadata: {name: api}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: "1"}}
- {apiVersion: v1, kind: ConfigMapList, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: two}}]}
-- deploy/a.json --
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"}, "spec": {"replicas": 3}}
-- deploy/README.md --
kind: nothing
-- deploy/below/c.yml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: three}}
-- deployment/other.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: four}}
`)
	found, how, err := r.render(t.Context(), repo(files))
	require.NoError(t, err)
	require.Equal(t, plain, how)
	require.Equal(t, []string{"Deployment/shop/api", "Service/api", "ConfigMap/one", "ConfigMap/two"}, names(found))
	replicas, _, err := unstructured.NestedInt64(found[0].Object, "spec", "replicas")
	require.NoError(t, err, "numbers are integers, as the API server has them")
	require.EqualValues(t, 3, replicas)

	r.Recurse = true
	found, _, err = r.render(t.Context(), repo(files))
	require.NoError(t, err)
	require.Contains(t, names(found), "ConfigMap/three")
	goals, _, err := r.goals(found)
	require.NoError(t, err)
	require.Equal(t, []string{"ConfigMap/shop/one", "ConfigMap/shop/two", "ConfigMap/shop/three", "Deployment/shop/api", "Service/shop/api"}, names(goals),
		"config, workloads, routing")

	one := &Revert{Path: "deploy/a.json", Commit: "0123456789"}
	found, _, err = one.render(t.Context(), repo(files))
	require.NoError(t, err)
	require.Len(t, found, 1)
}

func TestPlainRefused(t *testing.T) {
	bomb := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &x0 [a,a,a,a,a,a,a,a,a,a]\n"
	for n := range 9 {
		bomb += fmt.Sprintf("x%d: &x%d [%s]\n", n+1, n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", n), 10), ","))
	}
	for text, why := range map[string]string{
		"a: &a [*a]\napiVersion: v1\nkind: ConfigMap\n": "contains itself",
		bomb: "excessive aliasing",
		"apiVersion: v1\nkind: ConfigMap\nkind: Secret\n": "already set",
		"- a\n- b\n":          "no object with apiVersion and kind",
		"just text":           "no object with apiVersion and kind",
		"metadata: {name: a}": "apiVersion and kind are required",
		"{apiVersion: v1, kind: List, items: [1]}": "items[0]: is no object",
		"a: [": "did not find expected node content",
		"":     "it holds no objects",
		"{apiVersion: v1, kind: ConfigMap, data: {a: " + strings.Repeat("a", maxObject) + "}}": "more than a cluster stores",
		strings.Repeat("---\n{apiVersion: v1, kind: ConfigMap}\n", maxObjects+1):               "more than 500 objects",
	} {
		r := &Revert{Path: "a.yaml", Commit: "0123456789"}
		_, _, err := r.render(t.Context(), repo(map[string]string{"a.yaml": text}))
		require.ErrorContains(t, err, why, "%.60s", text)
	}
	r := &Revert{Path: "nowhere", Commit: "0123456789"}
	_, _, err := r.render(t.Context(), repo(map[string]string{"a.yaml": ""}))
	require.ErrorContains(t, err, "no nowhere at commit")
}

const overlay = `
-- overlays/prod/kustomization.yaml --
namespace: shop
namePrefix: prod-
resources: [../../base, extra.yaml]
components: [../../components/trace]
images: [{name: api, newName: registry.test/api, newTag: "2"}]
configMapGenerator:
- {name: config, files: [app.conf, other=../../base/shared.conf], envs: [settings.env], literals: ["at=https://shop.test/"]}
patches:
- {path: replicas.yaml}
- patch: |-
    - {op: add, path: /metadata/labels/tier, value: front}
  target: {kind: Deployment}
patchesStrategicMerge:
- |-
  apiVersion: apps/v1
  kind: Deployment
  metadata: {name: api}
  spec: {minReadySeconds: 5}
transformers:
- |-
  apiVersion: builtin
  kind: AnnotationsTransformer
  metadata: {name: a}
  annotations: {team: shop}
  fieldSpecs: [{path: metadata/annotations, create: true}]
replacements: [{path: replace.yaml}]
-- overlays/prod/replace.yaml --
source: {kind: Deployment, name: api, fieldPath: metadata.name}
targets: [{select: {kind: Service}, fieldPaths: [metadata.labels.of], options: {create: true}}]
-- overlays/prod/extra.yaml --
{apiVersion: v1, kind: Service, metadata: {name: api, labels: {app: api}}, spec: {selector: {app: api}, ports: [{port: 80}]}}
-- overlays/prod/replicas.yaml --
{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {replicas: 7}}
-- overlays/prod/app.conf --
a & b * c
-- overlays/prod/settings.env --
A=1
HOME
-- base/shared.conf --
shared
-- base/kustomization.yml --
resources: [api.yaml]
-- base/api.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {app: api}}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: &labels {app: api}}
    spec: {containers: [{name: api, image: api:1, envFrom: [{configMapRef: {name: config}}]}]}
-- components/trace/kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches: [{path: trace.yaml}]
-- components/trace/trace.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {template: {spec: {containers: [{name: api, env: [{name: TRACE, value: "on"}]}]}}}
-- elsewhere/never.yaml --
read
`

func TestKustomize(t *testing.T) {
	r := &Revert{Path: "overlays/prod", Commit: "0123456789"}
	source := repo(unpacked(overlay))
	found, how, err := r.render(t.Context(), source)
	require.NoError(t, err)
	require.Equal(t, kustomize, how)
	require.False(t, source.isFile("elsewhere/never.yaml"), "only what is used is read")
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetKind(), b.GetKind()) })
	require.Len(t, found, 3)
	config, deployment, service := found[0], found[1], found[2]
	require.Regexp(t, `^prod-config-[a-z0-9]{10}$`, config.GetName())
	data, _, _ := unstructured.NestedStringMap(config.Object, "data")
	require.Equal(t, map[string]string{"app.conf": "a & b * c\n", "other": "shared\n", "A": "1", "HOME": "", "at": "https://shop.test/"}, data,
		"nothing of astern's own environment gets in")
	container := cluster.Items(cluster.Below(templateOf(deployment), "spec"), "containers")[0]
	require.Equal(t, "registry.test/api:2", container["image"])
	require.Contains(t, fmt.Sprint(container), config.GetName(), "what refers to a generated name follows it")
	require.Contains(t, fmt.Sprint(container), "TRACE")
	require.Equal(t, map[string]string{"app": "api", "tier": "front"}, deployment.GetLabels())
	require.Equal(t, "shop", deployment.GetAnnotations()["team"])
	require.Equal(t, "shop", deployment.GetNamespace())
	replicas, _, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas")
	require.EqualValues(t, 7, replicas)
	require.Equal(t, "prod-api", service.GetLabels()["of"])
}

// What kustomize would fetch, run or read elsewhere is refused before it is asked.
func TestKustomizeRefused(t *testing.T) {
	for text, why := range map[string]string{
		"resources: ['https://github.com/org/repo//base?ref=main']":         "is not in the repository",
		"resources: [github.com/org/repo]":                                  "is not in the repository",
		"resources: ['git@host.test:org/repo.git']":                         "is not in the repository",
		"resources: ['git::https://host.test/a']":                           "is not in the repository",
		"resources: ['HTTPS://host.test/a.yaml']":                           "is not in the repository",
		"resources: ['http:a']":                                             "is not in the repository",
		"RESOURCES: ['ssh://host.test/a']":                                  "is not in the repository",
		"bases: ['file:///etc']":                                            "is not in the repository",
		"components: ['https://host.test/a']":                               "is not in the repository",
		"crds: ['https://host.test/a']":                                     "is not in the repository",
		"configurations: ['https://host.test/a']":                           "is not in the repository",
		"openapi: {path: 'https://host.test/a'}":                            "is not in the repository",
		"patches: [{path: 'https://host.test/a'}]":                          "is not in the repository",
		"patchesStrategicMerge: ['https://host.test/a']":                    "is not in the repository",
		"patchesJson6902: [{path: 'https://host.test/a'}]":                  "is not in the repository",
		"replacements: [{path: 'https://host.test/a'}]":                     "is not in the repository",
		"configMapGenerator: [{name: a, files: ['k=https://host.test/a']}]": "is not in the repository",
		"configMapGenerator: [{name: a, env: 'https://host.test/a'}]":       "is not in the repository",
		"secretGenerator: [{name: a, envs: ['https://host.test/a']}]":       "is not in the repository",
		"transformers: ['https://host.test/a']":                             "is not in the repository",
		"transformers: ['{apiVersion: builtin, kind: PatchTransformer, metadata: {name: a}, path: \"https://host.test/a\"}']": "is not in the repository",
		"transformers: [patch.yaml]": "is not in the repository",
		"transformers: [below]":      "is no file",
		"transformers: ['{apiVersion: team/v1, kind: Exec, metadata: {name: a}}']": "kustomize:",
		"generators: [a.yaml]":                               "plugins do not run here",
		"validators: [a.yaml]":                               "plugins do not run here",
		"helmCharts: [{name: a, repo: 'https://host.test'}]": "vendored chart",
		"helmChartInflationGenerator: [{chartName: a}]":      "vendored chart",
		"resources: [../../../etc/passwd]":                   "leaves the repository",
		"resources: [/etc/passwd]":                           "is not in the repository",
		"resources: [nowhere.yaml]":                          "there is no at/nowhere.yaml",
		"resources: [.]":                                     "refers to itself",
		"resources: [../at]":                                 "refers to itself",
		"resources: [below]":                                 "has no kustomization.yaml",
		"resources: [bomb.yaml]":                             "its aliases make more than",
		"resources: [loop.yaml]":                             "an alias holds itself",
		"patches: [{patch: \"a: &a [*a]\\n\"}]":              "an alias holds itself",
		"nonsense: [a]":                                      "unknown field",
		"resources: [a":                                      "invalid Kustomization",
		"resources: ['sp ace.yaml']":                         "letters, digits and",
	} {
		bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
		for n := range 9 {
			bomb += fmt.Sprintf("a%d: &a%d [%s]\n", n+1, n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", n), 10), ","))
		}
		r := &Revert{Path: "at", Commit: "0123456789"}
		_, _, err := r.render(t.Context(), repo(map[string]string{
			"at/kustomization.yaml": text, "at/below/a.yaml": "a: 1", "at/bomb.yaml": bomb, "at/loop.yaml": "a: &a {b: *a}",
			"at/patch.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\npath: 'github.com/org/repo'\n", "at/sp ace.yaml": "a: 1",
		}))
		require.ErrorContains(t, err, why, text)
		require.NotContains(t, err.Error(), "\n")
	}
}

// Overlays upon overlays that each take the one before twice are refused before they are built.
func TestKustomizeDoubling(t *testing.T) {
	files := map[string]string{"a0/kustomization.yaml": "resources: [a.yaml]", "a0/a.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"}
	for n := range 30 {
		files[fmt.Sprintf("a%d/kustomization.yaml", n+1)] = fmt.Sprintf("resources: [../b%d, ../c%d]", n, n)
		files[fmt.Sprintf("b%d/kustomization.yaml", n)] = fmt.Sprintf("{namePrefix: b, resources: [../a%d]}", n)
		files[fmt.Sprintf("c%d/kustomization.yaml", n)] = fmt.Sprintf("{namePrefix: c, resources: [../a%d]}", n)
	}
	r := &Revert{Path: "a30", Commit: "0123456789"}
	_, _, err := r.render(t.Context(), repo(files))
	require.ErrorContains(t, err, "takes more than 200 kustomizations")
}

func TestGoalsRefused(t *testing.T) {
	r := &Revert{Path: "a", Namespace: "shop", Namespaces: []string{"shop-jobs"}, Leave: []string{"Ingress"}}
	for text, why := range map[string]string{
		"{apiVersion: v1, kind: Namespace, metadata: {name: shop}}":                                                                            "cannot be put back by this step",
		"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b}}":                                         "cannot be put back by this step",
		"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}}":                                                                   "cannot be put back by this step",
		"{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a}}":                                                             "cannot be put back by this step",
		"{apiVersion: v1, kind: Secret, metadata: {name: a}}":                                                                                  "Secret is not among the kinds to write",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-system}}":                                                       "may write to shop, shop-jobs",
		"{apiVersion: v1, kind: ConfigMap, metadata: {generateName: a-}}":                                                                      "has no way back",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: ../../secrets/a}}":                                                                 "is no name of an object",
		"{apiVersion: v1, kind: ConfigMap}":                                                                                                    "metadata.name: is required",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}}": "two manifests",
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}":                                                               "all manifests are of kinds to leave",
	} {
		found, err := documents("a.yaml", []byte(text))
		require.NoError(t, err)
		_, _, err = r.goals(found)
		require.ErrorContains(t, err, why, text)
	}
}

func TestTreeIsBounded(t *testing.T) {
	files := map[string]string{}
	for n := range maxFiles + 1 {
		files[fmt.Sprintf("a/%d.yaml", n)] = ""
	}
	r := &Revert{Path: "a", Commit: "0123456789"}
	_, _, err := r.render(t.Context(), repo(files))
	require.ErrorContains(t, err, "name a narrower path")
	require.Len(t, slices.Collect(maps.Keys(files)), maxFiles+1)
}
