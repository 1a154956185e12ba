// Package neighbours finds or builds the real programs that astern's demo and end-to-end tests run beside it:
// Prometheus, Alertmanager, HAProxy, a Kubernetes control plane and Flux. Each comes from PATH when its version is good enough, else from a cache outside
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
	goRecipe("prometheus", prometheus, version{2, 43, 0}, "about 4 minutes on two cores"),
	goRecipe("promtool", prometheus, version{2, 43, 0}, "about a minute after prometheus"),
	goRecipe("alertmanager", alertmanager, version{0, 28, 0}, "about a minute on two cores"),
	goRecipe("amtool", alertmanager, version{0, 28, 0}, "some seconds after alertmanager"),
	debianRecipe(debian{"haproxy", "haproxy", "usr/sbin/haproxy"}, version{2, 4, 0}, "-v"),
	debianRecipe(debian{"ssh", "openssh-client", "usr/bin/ssh"}, version{8, 0, 0}, "-V"),

	goRecipe("kube-apiserver", kubernetes, version{1, 34, 0}, "about 7 minutes on two cores"),
	goRecipe("kube-controller-manager", kubernetes, version{1, 34, 0}, "about 3 minutes after kube-apiserver"),
	goRecipe("kube-scheduler", kubernetes, version{1, 34, 0}, "some seconds after kube-apiserver"),
	goRecipe("kube-proxy", kubernetes, version{1, 34, 0}, "about a minute after kube-apiserver"),
	goRecipe("kubectl", kubernetes, version{1, 34, 0}, "some seconds after kube-apiserver").asking("version", "--client"),
	debianRecipe(debian{"etcd", "etcd-server", "usr/bin/etcd"}, version{3, 4, 0}, "--version"),
	installRecipe("sigs.k8s.io/kwok/cmd/kwok", "v0.8.0", version{0, 7, 0}, "about 2 minutes on two cores"),
	installRecipe("helm.sh/helm/v4/cmd/helm", "v4.3.1", version{4, 0, 0}, "about 3 minutes on two cores").asking("version"),
	goRecipe("kustomize-controller", flux, version{1, 7, 0}, "about 7 minutes on two cores"),
	debianRecipe(debian{"ip", "iproute2", "bin/ip"}, version{5, 0, 0}, "-V"),
	debianRecipe(debian{"nft", "nftables", "usr/sbin/nft"}, version{1, 0, 1}, "--version"),
}

// asking says how the program tells its version, where it is not --version.
func (r recipe) asking(args ...string) recipe {
	r.args = args
	return r
}
