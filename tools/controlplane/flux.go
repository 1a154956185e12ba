package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// InstallFlux applies Flux's CRDs and starts the real kustomize-controller. Flux's source-controller cannot be built here: a
// small stand-in fetches each GitRepository with git and hands out its artifact. It respects spec.suspend, spec.ref,
// spec.interval and the annotation reconcile.fluxcd.io/requestedAt. A GitRepository whose annotation RepositoryPath is set is
// fetched from that path instead of its URL. It may be called again.
func (c *ControlPlane) InstallFlux(ctx context.Context) error {
	return c.once("Flux", func() error { return c.installFlux(ctx) })
}

func (c *ControlPlane) installFlux(ctx context.Context) error {
	found, err := find(ctx, c.log, "kustomize-controller")
	if err != nil {
		return err
	}
	for _, project := range []string{"source-controller", "kustomize-controller"} {
		if err := c.installCRDs(ctx, project); err != nil {
			return err
		}
	}
	if err := c.CreateNamespace(ctx, "flux-system"); err != nil {
		return err
	}
	if err := c.serveSources(); err != nil {
		return err
	}
	p, err := startWith(c.Dir, []string{"KUBECONFIG=" + c.Kubeconfig, "RUNTIME_NAMESPACE=flux-system"}, "kustomize-controller",
		found["kustomize-controller"], "--metrics-addr=0", "--health-addr=0", "--requeue-dependency=1s")
	if err == nil {
		c.onClose(p.kill)
	}
	return err
}

// RepositoryPath is an annotation of a GitRepository for the stand-in.
const RepositoryPath = "rig.astern.dev/repository-path"

var gitRepositories = schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "gitrepositories"}

// sources stands in for Flux's source-controller.
type sources struct {
	c        *ControlPlane
	mirrors  *mirrors
	dir, url string
	fetched  map[string]time.Time // by UID
}

func (c *ControlPlane) serveSources() error {
	s := &sources{c: c, mirrors: newMirrors(c.Dir), dir: c.path("artifacts"), fetched: map[string]time.Time{}}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a local listener does not wait
	if err != nil {
		return err
	}
	s.url = "http://" + listener.Addr().String() + "/"
	server := &http.Server{Handler: http.FileServer(http.Dir(s.dir)), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	c.onClose(func() { _ = server.Close() })
	c.loop("source-controller", 200*time.Millisecond, s.round)
	return nil
}

// repository is the part of a GitRepository that the stand-in reads.
type repository struct {
	Spec struct {
		URL      string `json:"url"`
		Suspend  bool   `json:"suspend"`
		Interval string `json:"interval"`
		Ref      struct {
			Branch string `json:"branch"`
			Tag    string `json:"tag"`
			Name   string `json:"name"`
			Commit string `json:"commit"`
		} `json:"ref"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration     int64  `json:"observedGeneration"`
		LastHandledReconcileAt string `json:"lastHandledReconcileAt"`
	} `json:"status"`
}

func (s *sources) round(ctx context.Context) error {
	list, err := s.c.Client.Resource(gitRepositories).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failed []error
	for _, o := range list.Items {
		var r repository
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &r); err != nil {
			return err
		}
		if s.due(o, r) {
			failed = append(failed, s.reconcile(ctx, o, r))
		}
	}
	return errors.Join(failed...)
}

func (s *sources) due(o unstructured.Unstructured, r repository) bool {
	interval, err := time.ParseDuration(r.Spec.Interval)
	return !r.Spec.Suspend && (err != nil || r.Status.ObservedGeneration != o.GetGeneration() ||
		r.Status.LastHandledReconcileAt != requestedAt(o) || time.Since(s.fetched[string(o.GetUID())]) >= interval)
}

func requestedAt(o unstructured.Unstructured) string {
	return o.GetAnnotations()["reconcile.fluxcd.io/requestedAt"]
}

func (s *sources) reconcile(ctx context.Context, o unstructured.Unstructured, r repository) error {
	s.fetched[string(o.GetUID())] = time.Now()
	artifact, err := s.pack(ctx, o, r)
	condition := map[string]any{
		"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact",
		"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "observedGeneration": o.GetGeneration(),
	}
	status := map[string]any{
		"observedGeneration": o.GetGeneration(), "lastHandledReconcileAt": requestedAt(o), "conditions": []any{condition},
	}
	if err != nil {
		condition["status"], condition["reason"], condition["message"] = "False", "GitOperationFailed", err.Error()
	} else {
		status["artifact"] = artifact
	}
	return errors.Join(err, s.c.mergeStatus(ctx, gitRepositories, &o, status, "status"))
}

// pack writes the commit as an archive and gives the artifact that describes it.
func (s *sources) pack(ctx context.Context, o unstructured.Unstructured, r repository) (map[string]any, error) {
	url := o.GetAnnotations()[RepositoryPath]
	if url == "" {
		url = r.Spec.URL
	}
	ref := r.Spec.Ref
	named := firstOf(ref.Name, ref.Tag, ref.Branch, "master")
	dir, commit, err := s.mirrors.fetch(ctx, url, firstOf(ref.Commit, named))
	if err != nil {
		return nil, err
	}
	packed, err := git(ctx, dir, "archive", "--format=tar.gz", commit)
	if err != nil {
		return nil, err
	}
	name := o.GetNamespace() + "-" + o.GetName() + "-" + commit + ".tar.gz"
	if err := os.WriteFile(filepath.Join(s.dir, name), packed, 0o600); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(packed)
	return map[string]any{
		"digest": "sha256:" + hex.EncodeToString(sum[:]), "lastUpdateTime": time.Now().UTC().Format(time.RFC3339),
		"path": name, "url": s.url + name, "size": int64(len(packed)), "revision": fmt.Sprintf("%s@sha1:%s", named, commit),
	}, nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
