// Package neighbours finds or builds the real programs that astern's demo and end-to-end tests run beside it:
// Prometheus, Alertmanager and HAProxy. Each comes from PATH when its version is good enough, else from a cache outside
// the checkout, else it is built with Go from the pinned modules in tools/, or unpacked from Debian packages. Nothing
// needs root. It is a tool: the product imports it nowhere.
package neighbours

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Neighbour is a program that is ready to be run.
type Neighbour struct {
	Name string
	// Version is what the program says of itself, or the version it was built from.
	Version string
	// Path is the absolute path of an executable.
	Path string
	// From says where it was found: "PATH", "cache", "built" or "unpacked".
	From string
}

// Names lists the programs Find knows.
func Names() []string {
	names := []string{}
	for _, r := range recipes {
		names = append(names, r.name)
	}
	slices.Sort(names)
	return names
}

// Find gives a neighbour, building or unpacking it into the cache when it is not there yet. Progress goes to log, one
// line at a time. Two processes may ask at once: one builds and the other waits for it.
func Find(ctx context.Context, name string, log io.Writer) (Neighbour, error) {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.name == name })
	if i < 0 {
		return Neighbour{}, fmt.Errorf("unknown neighbour %q: the known ones are %s", name, strings.Join(Names(), ", "))
	}
	r := recipes[i]
	if found, ok := onPath(ctx, r); ok {
		return found, nil
	}
	made, err := r.fromCache(ctx, log)
	if err != nil {
		return Neighbour{}, fmt.Errorf("get %s: %w", name, err)
	}
	return made, nil
}

// recipe says what is good enough on PATH and how the program is made otherwise.
type recipe struct {
	name string
	// least is the oldest version on PATH that will do.
	least   version
	args    []string // make the program print its version
	maker   maker
	about   string // how long making it takes, for the progress line
	madeAs  string // Neighbour.From of a freshly made one
	dirName func() (string, error)
}

// maker puts the executable dir/<name> into an empty directory.
type maker func(ctx context.Context, dir string, log io.Writer) error

var recipes = []recipe{
	goRecipe("prometheus", "prometheus", version{2, 43, 0}, "about 4 minutes on two cores"),
	goRecipe("promtool", "prometheus", version{2, 43, 0}, "about a minute after prometheus"),
	goRecipe("alertmanager", "alertmanager", version{0, 28, 0}, "about a minute on two cores"),
	goRecipe("amtool", "alertmanager", version{0, 28, 0}, "some seconds after alertmanager"),
	haproxyRecipe(),
}
