package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// View keeps what one namespace shows up to date by watching it. It is for looking on; who changes something reads anew.
type View struct {
	cluster   *Cluster
	namespace string
	kinds     []string
	changed   func()
	now       func() time.Time

	mu     sync.RWMutex
	scene  *scene
	synced map[string]bool
	failed map[string]failure
}

type failure struct {
	since time.Time
	err   error
}

// ErrNotRead is wrapped while not all that a workload needs was read yet.
var ErrNotRead = errors.New("was not read yet")

// Patience is how long a cluster may be out of reach before what it showed counts as unknown: an API server that restarts is
// no news, and it refuses everybody for a moment.
const Patience = 15 * time.Second

// firstTries is how long a first reading may go wrong: not every API server serves the newest way to list.
const firstTries = 2 * time.Second

// View makes a view of a namespace; changed is called, from many goroutines, when something there has changed.
func (c *Cluster) View(namespace string, kinds []string, now func() time.Time, changed func()) *View {
	return &View{cluster: c, namespace: namespace, kinds: slices.Clone(kinds), changed: changed, now: now,
		scene: newScene(), synced: map[string]bool{}, failed: map[string]failure{}}
}

// Run watches until ctx ends.
func (v *View) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, kind := range v.kinds {
		all.Go(func() { v.watch(ctx, kind) })
	}
	all.Wait()
}

// watch keeps one kind. It asks again after each failure, soon at first: what a restart of the API server hides is needed.
func (v *View) watch(ctx context.Context, kind string) {
	r := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			at, err := v.place(kind)
			if err != nil {
				return nil, v.note(kind, err)
			}
			list, err := at.List(ctx, o)
			return list, v.note(kind, err)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			at, err := v.place(kind)
			if err != nil {
				return nil, v.note(kind, err)
			}
			events, err := at.Watch(ctx, o)
			return events, v.note(kind, err)
		},
	}, nil, kept{v, kind}, cache.ReflectorOptions{
		Name: v.namespace + "/" + kind, TypeDescription: kind,
		Backoff: &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.5, Steps: 10, Cap: 10 * time.Second},
	})
	r.RunWithContext(klog.NewContext(ctx, klog.Logger{})) // what fails is noted and told once, not logged at each try
}

// place is asked for at each call: credentials may have been read anew.
func (v *View) place(kind string) (resource, error) {
	k, known := builtin[kind]
	if !known {
		return nil, fmt.Errorf("%w: %s", ErrNoKind, kind)
	}
	return v.cluster.in(k, v.namespace)
}

// resource is what a watch needs of client-go's dynamic client.
type resource interface {
	List(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error)
	Watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error)
}

// note keeps since when a kind cannot be read, and hands the error back.
func (v *View) note(kind string, err error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch was, broken := v.failed[kind]; {
	case err == nil:
		delete(v.failed, kind)
	case errors.Is(err, context.Canceled):
	case broken:
		v.failed[kind] = failure{was.since, err}
	default:
		v.failed[kind] = failure{v.now(), err}
	}
	return err
}

// Running tells what a workload runs, from what was seen last. Its releases are not enriched.
func (v *View) Running(ref Ref) (Running, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if err := v.readable(ReadKinds(ref.Kind)); err != nil {
		return Running{}, fmt.Errorf("%s: %w", ref, err)
	}
	return v.scene.running(ref)
}

// readable says why kinds cannot be told from.
func (v *View) readable(kinds []string) error {
	for _, kind := range kinds {
		f, broken := v.failed[kind]
		if since := v.now().Sub(f.since); broken && (since >= Patience || !v.synced[kind] && since >= firstTries) {
			return v.cluster.failed(call{verb: "list", ref: Ref{Kind: kind, Namespace: v.namespace}, kind: builtin[kind]}, f.err)
		}
		if !v.synced[kind] {
			return fmt.Errorf("%s %w", kind, ErrNotRead)
		}
	}
	return nil
}

// Fresh says whether what a view shows of a workload is what the API server has now: a watch may lag behind, and what is
// told late must not count as news.
func (v *View) Fresh(ctx context.Context, ref Ref, r Running) (bool, error) {
	for _, each := range []Ref{ref, r.Workload} {
		obj, err := v.cluster.Get(ctx, each)
		if err != nil && !IsNotFound(err) {
			return false, err
		}
		v.mu.RLock()
		shown := v.scene.version(each)
		v.mu.RUnlock()
		if err != nil && shown != "" || err == nil && obj.GetResourceVersion() != shown {
			return false, nil
		}
		if each == r.Workload {
			break
		}
	}
	return true, nil
}

// Marked is a workload or Service with what people wrote on it.
type Marked struct {
	Ref                 Ref
	UID                 string
	Created             time.Time
	Annotations, Labels map[string]string
}

// Marked lists the workloads and Services that have the annotation. The error says why they cannot be told now.
func (v *View) Marked(annotation string) ([]Marked, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if err := v.readable(MarkedKinds()); err != nil {
		return nil, err
	}
	var all []Marked
	for _, w := range v.scene.workloads {
		if _, has := w.annotations[annotation]; has {
			all = append(all, Marked{w.ref, w.uid, w.created, w.annotations, w.labels})
		}
	}
	for _, s := range v.scene.services {
		if _, has := s.annotations[annotation]; has {
			all = append(all, Marked{s.ref, s.uid, s.created, s.annotations, s.labels})
		}
	}
	return all, nil
}

// MarkedKinds are the kinds that Marked lists.
func MarkedKinds() []string { return []string{"Deployment", "StatefulSet", "DaemonSet", "Service"} }

// kept is where a watch puts one kind.
type kept struct {
	view *View
	kind string
}

func (k kept) Add(obj any) error    { return k.put(obj) }
func (k kept) Update(obj any) error { return k.put(obj) }
func (k kept) Resync() error        { return nil }

func (k kept) put(obj any) error {
	return k.change(func(s *scene) {
		if o, is := obj.(*unstructured.Unstructured); is {
			s.put(k.kind, o)
		}
	})
}

func (k kept) Delete(obj any) error {
	return k.change(func(s *scene) {
		if o, is := obj.(*unstructured.Unstructured); is {
			s.drop(k.kind, string(o.GetUID()))
		}
	})
}

// Replace puts what a listing found in the place of all that was known of the kind.
func (k kept) Replace(list []any, _ string) error {
	return k.change(func(s *scene) {
		s.forget(k.kind)
		for _, obj := range list {
			if o, is := obj.(*unstructured.Unstructured); is {
				s.put(k.kind, o)
			}
		}
		k.view.synced[k.kind] = true
		delete(k.view.failed, k.kind)
	})
}

func (k kept) change(do func(*scene)) error {
	k.view.mu.Lock()
	do(k.view.scene)
	k.view.mu.Unlock()
	k.view.changed()
	return nil
}
