package controlplane

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// loop runs a stand-in's rounds until Close. What a round complains of goes to <name>.log: the API server may be away.
func (c *ControlPlane) loop(name string, every time.Duration, round func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			if err := round(ctx); err != nil && ctx.Err() == nil {
				c.complain(name, err)
			}
			select {
			case <-ticks.C:
			case <-ctx.Done():
				return
			}
		}
	})
	c.onClose(func() {
		cancel()
		done.Wait()
	})
}

func (c *ControlPlane) complain(name string, said error) {
	log, err := os.OpenFile(c.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	fmt.Fprintln(log, time.Now().Format(time.TimeOnly), said)
	_ = log.Close()
}

// mergeStatus merges into an object's status; subresources is empty for a kind whose status is part of the object.
func (c *ControlPlane) mergeStatus(ctx context.Context, kind schema.GroupVersionResource, o *unstructured.Unstructured,
	status map[string]any, subresources ...string) error {
	return c.merge(ctx, kind, o, map[string]any{"status": status}, subresources...)
}

func (c *ControlPlane) merge(ctx context.Context, kind schema.GroupVersionResource, o *unstructured.Unstructured,
	body map[string]any, subresources ...string) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = c.Client.Resource(kind).Namespace(o.GetNamespace()).
		Patch(ctx, o.GetName(), types.MergePatchType, text, metav1.PatchOptions{FieldManager: "controller"}, subresources...)
	return err
}
