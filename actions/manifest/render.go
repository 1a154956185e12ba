package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// How the files become objects.
const (
	auto      = "auto"
	plain     = "plain"
	kustomize = "kustomize"
	helm      = "helm"
)

var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// render makes the objects that the files under a path mean at the tree's commit.
func (r *Revert) render(ctx context.Context, t *tree) (found []*unstructured.Unstructured, how string, err error) {
	at := path.Clean(r.Path)
	if err := t.want(ctx, at); err != nil {
		return nil, "", err
	}
	if !t.isFile(at) && !t.isDirectory(at) {
		return nil, "", fmt.Errorf("%s: nothing lies there at commit %.12s", r.Path, r.Commit)
	}
	how = r.how(t, at)
	if found, err = r.renderAs(ctx, t, at, how); err == nil && len(found) == 0 {
		err = errors.New("it holds no objects")
	}
	if err != nil {
		return nil, "", fmt.Errorf("render %s (%s) at commit %.12s: %w", r.Path, how, r.Commit, err)
	}
	return found, how, nil
}

// how says what a directory is where the step leaves it open.
func (r *Revert) how(t *tree, at string) string {
	if r.Render != "" && r.Render != auto {
		return r.Render
	}
	switch {
	case r.Helm != nil || t.isFile(path.Join(at, "Chart.yaml")):
		return helm
	case kustomizationIn(t, at) != "":
		return kustomize
	}
	return plain
}

func kustomizationIn(t *tree, at string) string {
	for _, name := range kustomizations {
		if t.isFile(path.Join(at, name)) {
			return path.Join(at, name)
		}
	}
	return ""
}

func (r *Revert) renderAs(ctx context.Context, t *tree, at, how string) ([]*unstructured.Unstructured, error) {
	switch how {
	case kustomize:
		return built(ctx, t, at)
	case helm:
		return r.template(ctx, t, at)
	}
	return files(t, at, r.Recurse)
}

// files reads plain manifests, as `kubectl apply -f` does: the file, or those of the directory.
func files(t *tree, at string, recurse bool) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	size := 0
	for _, name := range manifests(t, at, recurse) {
		if size += len(t.files[name]); size > maxRendered {
			return nil, errTooMuch
		}
		found, err := documents(name, t.files[name])
		if err != nil {
			return nil, err
		}
		if all = append(all, found...); len(all) > maxObjects {
			return nil, errTooMuch
		}
	}
	return all, nil
}

var errTooMuch = fmt.Errorf("it is more than %d objects or %d MiB: name a narrower path", maxObjects, maxRendered>>20)

func manifests(t *tree, at string, recurse bool) []string {
	if t.isFile(at) {
		return []string{at}
	}
	var names []string
	for _, name := range t.under(at) {
		ends := slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
		if ends && (recurse || path.Dir(name) == at) {
			names = append(names, name)
		}
	}
	return names
}

// parsed reads what a renderer printed.
func parsed(text []byte) ([]*unstructured.Unstructured, error) {
	if len(text) > maxRendered {
		return nil, errTooMuch
	}
	return documents("rendered", text)
}

// printable makes a tool's complaint one line that an error can hold.
func printable(text []byte) string {
	line := strings.Join(strings.Fields(string(bytes.ToValidUTF8(text, nil))), " ")
	if len(line) > 1000 {
		line = strings.ToValidUTF8(line[:1000], "") + "…"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return -1
		}
		return c
	}, line)
}
