package clustertest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// request is a call with what the API found out about it.
type request struct {
	Call
	kind  Kind
	sub   string
	query url.Values
}

func uid(n int64) types.UID { return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)) }

// parse reads /api/v1/… and /apis/GROUP/VERSION/…, then [namespaces/NS/]RESOURCE[/NAME[/SUB]].
func (s *Server) parse(r *http.Request, parts []string, body []byte) (request, error) {
	var group, version string
	switch {
	case len(parts) > 2 && parts[0] == "api":
		version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, version, parts = parts[1], parts[2], parts[3:]
	default:
		return request{}, notServed(r)
	}
	q := request{query: r.URL.Query()}
	if len(parts) > 2 && parts[0] == "namespaces" {
		if _, core := s.served(group, version, parts[2]); core && parts[2] != "status" {
			q.Namespace, parts = parts[1], parts[2:]
		}
	}
	if len(parts) > 3 {
		return request{}, notServed(r)
	}
	parts = append(parts, "", "")
	q.Name, q.sub = parts[1], parts[2]
	q.Call.Group, q.Resource, q.Body, q.ContentType = group, parts[0], body, r.Header.Get("Content-Type")
	q.DryRun, q.Manager = slices.Contains(q.query["dryRun"], "All"), q.query.Get("fieldManager")
	q.Verb = verb(r.Method, q.Name)
	if group == "authorization.k8s.io" && q.Resource == "selfsubjectaccessreviews" {
		return q, nil
	}
	k, known := s.served(group, version, q.Resource)
	if !known || q.sub != "" && !slices.Contains(k.Subs, q.sub) || q.query.Get("watch") != "" {
		return request{}, notServed(r)
	}
	if name, by := strings.CutPrefix(q.query.Get("fieldSelector"), "metadata.name="); by && q.Name == "" {
		q.Name = name // so do rights see it
	}
	q.kind = k
	if q.sub != "" {
		q.Resource += "/" + q.sub
	}
	return q, nil
}

func notServed(r *http.Request) error {
	err := apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, schema.GroupResource{}, "", "", 0, true)
	err.ErrStatus.Message = "the server could not find the requested resource"
	return err
}

func verb(method, name string) string {
	switch {
	case method == http.MethodGet && name == "":
		return "list"
	case method == http.MethodDelete && name == "":
		return "deletecollection"
	}
	return map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[method]
}

// do serves a call that is allowed.
func (s *Server) do(w http.ResponseWriter, q request) {
	if q.Resource == "selfsubjectaccessreviews" {
		s.review(w, q.Body)
		return
	}
	if q.sub == "log" {
		s.log(w, q)
		return
	}
	var out map[string]any
	var err error
	code := http.StatusOK
	switch q.Verb {
	case "list":
		out, err = s.doList(q)
	case "get":
		out, err = s.doGet(q)
	case "create":
		code = http.StatusCreated
		out, err = s.doCreate(q)
	case "update", "patch":
		out, err = s.doWrite(q)
	case "delete":
		out, err = s.doDelete(q)
	default:
		err = apierrors.NewMethodNotSupported(q.kind.resource(), q.Verb)
	}
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, code, out)
}

func (s *Server) doList(q request) (map[string]any, error) {
	chosen, err := labels.Parse(q.query.Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	var items []any
	for _, o := range s.list(q.kind, q.Namespace, chosen) {
		if q.Name == "" || o.GetName() == q.Name {
			items = append(items, o.DeepCopy().Object)
		}
	}
	from, _ := strconv.Atoi(q.query.Get("continue"))
	limit, _ := strconv.Atoi(q.query.Get("limit"))
	items = items[min(from, len(items)):]
	meta := map[string]any{"resourceVersion": strconv.FormatInt(s.version, 10)}
	if limit > 0 && len(items) > limit {
		meta["continue"], meta["remainingItemCount"] = strconv.Itoa(from+limit), len(items)-limit
		items = items[:limit]
	}
	if items == nil {
		items = []any{}
	}
	return map[string]any{"kind": q.kind.Kind + "List", "apiVersion": q.kind.apiVersion(), "metadata": meta, "items": items}, nil
}

func (s *Server) stored(q request) (*object, error) {
	o := s.objects[key(q.kind, q.Namespace, q.Name)]
	if o == nil {
		return nil, apierrors.NewNotFound(q.kind.resource(), q.Name)
	}
	return o, nil
}

func (s *Server) doGet(q request) (map[string]any, error) {
	o, err := s.stored(q)
	if err != nil {
		return nil, err
	}
	if q.sub == "scale" {
		return scaleOf(o.Unstructured), nil
	}
	return o.DeepCopy().Object, nil
}

// Log is what a container of a pod printed, or of any pod of the namespace when it is "*". A pod without one answers as a node
// that has no kubelet.
func (s *Server) Log(namespace, pod, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs[namespace+"/"+pod] = text
}

func (s *Server) log(w http.ResponseWriter, q request) {
	text, known := s.logs[q.Namespace+"/"+q.Name]
	if !known {
		text, known = s.logs[q.Namespace+"/*"]
	}
	if _, err := s.stored(q); err != nil {
		fail(w, err)
		return
	}
	if !known {
		fail(w, apierrors.NewGenericServerResponse(http.StatusInternalServerError, "get", q.kind.resource(), q.Name, "dial tcp 10.0.0.1:10250: connect: connection refused", 0, true))
		return
	}
	if limit, err := strconv.Atoi(q.query.Get("limitBytes")); err == nil && len(text) > limit {
		text = text[:limit]
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(text))
}

// scaleOf is an object as its scale subresource shows it.
func scaleOf(u *unstructured.Unstructured) map[string]any {
	selector := ""
	if match, ok := nested(u, "spec", "selector", "matchLabels").(map[string]any); ok {
		set := labels.Set{}
		for name, value := range match {
			set[name] = fmt.Sprint(value)
		}
		selector = set.String()
	}
	number := func(path ...string) any {
		if n := nested(u, path...); n != nil {
			return n
		}
		return int64(0)
	}
	return map[string]any{
		"kind": "Scale", "apiVersion": "autoscaling/v1",
		"metadata": map[string]any{"name": u.GetName(), "namespace": u.GetNamespace(), "uid": string(u.GetUID()), "resourceVersion": u.GetResourceVersion(), "creationTimestamp": nested(u, "metadata", "creationTimestamp")},
		"spec":     map[string]any{"replicas": number("spec", "replicas")},
		"status":   map[string]any{"replicas": number("status", "replicas"), "selector": selector},
	}
}

func decode(raw []byte) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return u, nil
}
