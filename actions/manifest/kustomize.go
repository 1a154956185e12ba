package manifest

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomizing is held while kustomize works: it keeps the schema it reads by in a variable of the whole program.
var kustomizing sync.Mutex

// built runs kustomize on the files of the repository, in memory: what it needs must lie there. No plugin runs, and what
// its files refer to was looked at before, as kustomize would fetch from anywhere by itself.
func built(ctx context.Context, t *tree, at string) ([]*unstructured.Unstructured, error) {
	in := &inputs{tree: t, cost: map[string]int{}}
	if _, err := in.directory(ctx, at); err != nil {
		return nil, err
	}
	disk := filesys.MakeFsInMemory()
	for name, content := range t.files {
		if err := disk.WriteFile("/"+name, content); err != nil && in.used[name] {
			return nil, fmt.Errorf("%s: kustomize takes letters, digits and - _ . : in file names alone", name)
		}
	}
	text, err := build(ctx, disk, "/"+at)
	if err != nil {
		return nil, err
	}
	return parsed(text)
}

func build(ctx context.Context, disk filesys.FileSystem, at string) (text []byte, err error) {
	kustomizing.Lock()
	defer kustomizing.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer func() { // it panics on some files that are no manifests
		if failed := recover(); failed != nil {
			err = fmt.Errorf("kustomize gave up: %s", printable(fmt.Append(nil, failed)))
		}
	}()
	options := krusty.MakeDefaultOptions() // built-in plugins alone
	options.LoadRestrictions = types.LoadRestrictionsNone
	made, err := krusty.MakeKustomizer(options).Run(disk, at)
	if err != nil {
		return nil, fmt.Errorf("kustomize: %s", printable([]byte(err.Error())))
	}
	return made.AsYaml()
}
