package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	maxDirectories = 200     // kustomizations built for one overlay, each as often as it is referred to
	maxNodes       = 500_000 // of YAML, after its aliases are written out
	unfinished     = -1
)

// inputs walks what a kustomization is made of, loads it, and refuses what kustomize would fetch or run: a remote base moves
// while the commit does not, and a plugin is somebody else's program. It reads the files with kustomize's own types, so
// that nothing can be written for one reader and not for the other.
type inputs struct {
	tree  *tree
	cost  map[string]int // kustomizations that building a directory takes; unfinished while it is looked at
	used  map[string]bool
	nodes int
}

func (in *inputs) directory(ctx context.Context, at string) (int, error) {
	switch known := in.cost[at]; {
	case known == unfinished:
		return 0, fmt.Errorf("%s: refers to itself", at)
	case known > 0:
		return known, nil
	}
	file := kustomizationIn(in.tree, at)
	if file == "" {
		return 0, fmt.Errorf("%s: has no kustomization.yaml", at)
	}
	in.cost[at] = unfinished
	var k types.Kustomization
	if err := k.Unmarshal(in.tree.files[file]); err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	k.FixKustomization()
	cost, err := in.kustomization(ctx, at, &k)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if cost > maxDirectories {
		return 0, fmt.Errorf("%s: takes more than %d kustomizations", at, maxDirectories)
	}
	in.cost[at] = cost
	return cost, nil
}

func (in *inputs) kustomization(ctx context.Context, at string, k *types.Kustomization) (int, error) {
	if err := refused(k); err != nil {
		return 0, err
	}
	cost := 1
	for _, reference := range append(append([]string{}, k.Resources...), k.Components...) {
		more, err := in.resource(ctx, at, reference)
		if err != nil {
			return 0, err
		}
		cost += more
	}
	for _, reference := range references(k) {
		if err := in.file(ctx, at, reference); err != nil {
			return 0, err
		}
	}
	for _, text := range inline(k) {
		if err := in.text(ctx, at, text, in.expand); err != nil {
			return 0, err
		}
	}
	for _, text := range k.Transformers {
		if err := in.text(ctx, at, text, in.transformer); err != nil {
			return 0, fmt.Errorf("transformers: %w", err)
		}
	}
	return cost, nil
}

// refused names what is no part of the repository.
func refused(k *types.Kustomization) error {
	switch {
	case len(k.HelmCharts) > 0 || k.HelmGlobals != nil:
		return errors.New("helmCharts: charts are not inflated by kustomize here: use render: helm on the vendored chart")
	case len(k.Generators) > 0:
		return errors.New("generators: plugins do not run here; use configMapGenerator and secretGenerator")
	case len(k.Validators) > 0:
		return errors.New("validators: plugins do not run here")
	}
	return nil
}

// references are the fields that hold nothing but a path.
func references(k *types.Kustomization) []string {
	all := append(append([]string{}, k.Crds...), k.Configurations...)
	for _, patch := range append(append([]types.Patch{}, k.Patches...), k.PatchesJson6902...) { //nolint:staticcheck // old files have them
		all = append(all, patch.Path)
	}
	for _, r := range k.Replacements {
		all = append(all, r.Path)
	}
	for _, m := range k.ConfigMapGenerator {
		all = append(all, sources(m.KvPairSources)...)
	}
	for _, s := range k.SecretGenerator {
		all = append(all, sources(s.KvPairSources)...)
	}
	return append(all, k.OpenAPI["path"])
}

func sources(from types.KvPairSources) []string {
	all := append([]string{from.EnvSource}, from.EnvSources...)
	for _, file := range from.FileSources {
		_, name, keyed := strings.Cut(file, "=")
		if !keyed {
			name = file
		}
		all = append(all, name)
	}
	return all
}

// inline are the fields that hold YAML, or a path to it.
func inline(k *types.Kustomization) []string {
	var all []string
	for _, patch := range k.PatchesStrategicMerge { //nolint:staticcheck // old files have them
		all = append(all, string(patch))
	}
	for _, patch := range append(append([]types.Patch{}, k.Patches...), k.PatchesJson6902...) { //nolint:staticcheck // old files have them
		all = append(all, patch.Patch)
	}
	return all
}

// resource is a file of manifests, or a directory with a kustomization of its own.
func (in *inputs) resource(ctx context.Context, at, reference string) (int, error) {
	found, err := in.find(ctx, at, reference)
	if err != nil {
		return 0, err
	}
	if in.tree.isFile(found) {
		return 0, in.use(found)
	}
	return in.directory(ctx, found)
}

func (in *inputs) file(ctx context.Context, at, reference string) error {
	if reference == "" {
		return nil
	}
	found, err := in.find(ctx, at, reference)
	if err != nil {
		return err
	}
	if !in.tree.isFile(found) {
		return fmt.Errorf("%s: is no file", reference)
	}
	return in.use(found)
}

// text is YAML, or the path of a file with YAML, which is then looked at.
func (in *inputs) text(ctx context.Context, at, text string, look func(name string, content []byte) error) error {
	switch {
	case text == "":
		return nil
	case strings.Contains(text, "\n") || strings.Contains(text, ": "):
		return look("inline", []byte(text))
	}
	if err := in.file(ctx, at, text); err != nil {
		return err
	}
	found, err := within(at, text)
	if err != nil {
		return err
	}
	return look(found, in.tree.files[found])
}

func (in *inputs) find(ctx context.Context, at, reference string) (string, error) {
	if remote(reference) {
		return "", fmt.Errorf("%s: is not in the repository: what lies elsewhere is not fetched, as nothing holds it to the commit; vendor it", printable([]byte(reference)))
	}
	found, err := within(at, reference)
	if err != nil {
		return "", err
	}
	if !in.tree.isFile(found) && !in.tree.isDirectory(found) {
		if err := in.tree.want(ctx, found); err != nil {
			return "", err
		}
	}
	if !in.tree.isFile(found) && !in.tree.isDirectory(found) {
		return "", fmt.Errorf("%s: there is no %s at this commit", printable([]byte(reference)), found)
	}
	return found, nil
}

func (in *inputs) use(file string) error {
	if in.used == nil {
		in.used = map[string]bool{}
	}
	if in.used[file] {
		return nil
	}
	in.used[file] = true
	return in.expand(file, in.tree.files[file])
}

// expand refuses YAML whose aliases make much out of little, or hold themselves. What is no YAML kustomize will say itself.
func (in *inputs) expand(name string, content []byte) error {
	if !bytes.Contains(content, []byte("*")) || !bytes.Contains(content, []byte("&")) {
		return nil
	}
	return eachDocument(content, func(node *yaml.Node) error {
		n, err := expanded(node, map[*yaml.Node]int{})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if in.nodes += n; in.nodes > maxNodes {
			return fmt.Errorf("%s: its aliases make more than %d values", name, maxNodes)
		}
		return nil
	})
}

// transformer is the configuration of one of kustomize's own plugins; it may refer to files, so no string in it is one
// that kustomize would fetch.
func (in *inputs) transformer(name string, content []byte) error {
	if err := in.expand(name, content); err != nil {
		return err
	}
	return eachDocument(content, func(node *yaml.Node) error {
		if address := addressIn(node); address != "" {
			return fmt.Errorf("%s: %s: is not in the repository", name, printable([]byte(address)))
		}
		return nil
	})
}

func eachDocument(content []byte, look func(*yaml.Node) error) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); err != nil { // the end, or no YAML
			return nil //nolint:nilerr // kustomize says it with the place
		}
		if err := look(&node); err != nil {
			return err
		}
	}
}

// expanded counts the values of a document when every alias is written out.
func expanded(node *yaml.Node, known map[*yaml.Node]int) (int, error) {
	switch n := known[node]; {
	case n == unfinished:
		return 0, errors.New("an alias holds itself")
	case n > 0:
		return n, nil
	}
	known[node] = unfinished
	children := node.Content
	if node.Kind == yaml.AliasNode {
		children = []*yaml.Node{node.Alias}
	}
	sum := 1
	for _, child := range children {
		n, err := expanded(child, known)
		if err != nil {
			return 0, err
		}
		sum = min(sum+n, maxNodes+1)
	}
	known[node] = sum
	return sum, nil
}

// addressIn gives a string of a plugin's configuration that kustomize would fetch.
func addressIn(node *yaml.Node) string {
	if node.Kind == yaml.ScalarNode && remote(node.Value) {
		return node.Value
	}
	for _, child := range node.Content {
		if address := addressIn(child); address != "" {
			return address
		}
	}
	return ""
}

var addressForm = regexp.MustCompile(`(?i)^(git::)?(https?:|ssh://|file://|github\.com[/:]|[a-z][a-z0-9-]*@)`)

// remote says whether kustomize would take a reference for an address: exactly then it runs git or asks a server.
func remote(reference string) bool {
	return addressForm.MatchString(reference) || path.IsAbs(reference)
}
