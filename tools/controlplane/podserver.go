package controlplane

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// AnswersLabel on a pod makes it answer with that status code instead of 200.
const AnswersLabel = "rig.astern.dev/answers"

// podServer answers on port 8080 of every pod's address, in the pod's name. Only kube-proxy keeps requests from a pod that is
// not ready.
type podServer struct {
	c    *ControlPlane
	mu   sync.Mutex
	pods map[string]pod // by address
}

type pod struct {
	Name   string
	Labels map[string]string
}

func (c *ControlPlane) servePods() error {
	s := &podServer{c: c, pods: map[string]pod{}}
	listener, err := c.network.listen("0.0.0.0:8080")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	c.onClose(func() { _ = server.Close() })
	c.loop("pod-server", 100*time.Millisecond, s.look)
	return nil
}

// look learns which pod has which address. While the API server is away the last answer holds.
func (s *podServer) look(ctx context.Context) error {
	list, err := s.c.Client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).
		List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	found := map[string]pod{}
	for _, o := range list.Items {
		status, _ := o.Object["status"].(map[string]any)
		if ip, ok := status["podIP"].(string); ok && status["phase"] == "Running" {
			found[ip] = pod{o.GetName(), o.GetLabels()}
		}
	}
	s.mu.Lock()
	s.pods = found
	s.mu.Unlock()
	return nil
}

func (s *podServer) at(ctx context.Context, ip string) pod {
	for range 2 {
		s.mu.Lock()
		p, ok := s.pods[ip]
		s.mu.Unlock()
		if ok {
			return p
		}
		_ = s.look(ctx) // a pod younger than the last look
	}
	return pod{}
}

// ServeHTTP tells the pod's name and labels.
func (s *podServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		http.Error(w, "no address", http.StatusInternalServerError)
		return
	}
	p := s.at(r.Context(), address.IP.String())
	if code, err := strconv.Atoi(p.Labels[AnswersLabel]); err == nil {
		w.WriteHeader(code)
	}
	_ = json.NewEncoder(w).Encode(p)
}
