// Command image makes astern's container images without a container daemon: from scratch, with one static binary, and a
// second one that has git and helm beside it. The same inputs give the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// user is who the process is in the image: nobody of the machine it runs on.
const user = "65532"

type options struct {
	binary, out, tag, version, helm string
	git                             bool
}

func main() {
	o := options{}
	flag.StringVar(&o.binary, "binary", "bin/astern", "astern, built for linux without cgo")
	flag.StringVar(&o.out, "out", "bin/astern-image.tar", "where the image is written; `docker load` and `ctr image import` read it")
	flag.StringVar(&o.tag, "tag", "astern:dev", "the name and tag it has when it is loaded")
	flag.StringVar(&o.version, "version", "dev", "the version that its label says")
	flag.BoolVar(&o.git, "git", false, "put git in, and ssh where this machine has it, with the libraries they need")
	flag.StringVar(&o.helm, "helm", "", "put this helm in")
	flag.Parse()
	digest, err := write(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image: error:", err)
		os.Exit(1)
	}
	fmt.Printf("%s %s %s\n", o.out, o.tag, digest)
}

// write makes the image and gives its digest.
func write(ctx context.Context, o options) (string, error) {
	tag, err := name.NewTag(o.tag)
	if err != nil {
		return "", fmt.Errorf("read the tag %q: %w", o.tag, err)
	}
	image, err := build(ctx, o)
	if err != nil {
		return "", err
	}
	if err := tarball.WriteToFile(o.out, tag, image); err != nil {
		return "", fmt.Errorf("write %s: %w", o.out, err)
	}
	digest, err := image.Digest()
	return digest.String(), err
}

// build puts what changes rarely into the lower layers: a new astern is one layer to pull.
func build(ctx context.Context, o options) (v1.Image, error) {
	base := files{}
	base.system()
	layers := []files{base}
	if o.git || o.helm != "" {
		tools := files{}
		if err := tools.programs(ctx, o); err != nil {
			return nil, err
		}
		layers = append(layers, tools)
	}
	own := files{}
	if err := own.program(o.binary, "/usr/bin/astern"); err != nil {
		return nil, err
	}
	image := empty.Image
	for _, content := range append(layers, own) {
		layer, err := content.layer()
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, err
		}
	}
	return configured(image, o)
}

func configured(image v1.Image, o options) (v1.Image, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", architecture(o.binary)
	file.Config = v1.Config{
		User: user + ":" + user, WorkingDir: "/var/lib/astern", Entrypoint: []string{"/usr/bin/astern"}, Cmd: []string{"serve"},
		Env:          []string{"PATH=/usr/bin", "SSL_CERT_FILE=" + certificates, "HOME=/tmp"},
		ExposedPorts: map[string]struct{}{"9494/tcp": {}},
		Labels:       map[string]string{"org.opencontainers.image.title": "astern", "org.opencontainers.image.version": o.version},
	}
	return mutate.ConfigFile(image, file)
}
