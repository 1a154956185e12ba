package clustertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"astern.dev/astern/actions"
)

// Forbid takes one right from the user: a verb on a resource ("deployments/scale" for a subresource).
func (s *Server) Forbid(verb, resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = append(s.denied, [2]string{verb, resource})
}

// Only leaves the user the rights that are listed, as a Role does. Reviews of one's own access are always allowed.
func (s *Server) Only(rights ...actions.Access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.only, s.limited = rights, true
}

func (s *Server) allows(c Call) bool {
	if c.Resource == "selfsubjectaccessreviews" {
		return true
	}
	if slices.Contains(s.denied, [2]string{c.Verb, c.Resource}) {
		return false
	}
	return !s.limited || slices.ContainsFunc(s.only, func(a actions.Access) bool { return grants(a, c) })
}

func grants(a actions.Access, c Call) bool {
	resource := strings.TrimSuffix(a.Resource+"/"+a.Subresource, "/")
	return a.Group == c.Group && resource == c.Resource && a.Namespace == c.Namespace &&
		(a.Name == "" || a.Name == c.Name) && slices.Contains(a.Verbs, c.Verb)
}

func (s *Server) forbidden(q request) error {
	where := "at the cluster scope"
	if q.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", q.Namespace)
	}
	return apierrors.NewForbidden(q.kind.resource(), q.Name, fmt.Errorf("User %q cannot %s resource %q in API group %q %s", User, q.Verb, q.Resource, q.Group, where))
}

// review answers a SelfSubjectAccessReview.
func (s *Server) review(w http.ResponseWriter, body []byte) {
	var asked struct {
		Spec struct {
			Of struct {
				Namespace   string `json:"namespace,omitempty"`
				Verb        string `json:"verb,omitempty"`
				Group       string `json:"group,omitempty"`
				Resource    string `json:"resource,omitempty"`
				Subresource string `json:"subresource,omitempty"`
				Name        string `json:"name,omitempty"`
			} `json:"resourceAttributes"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		fail(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	of := asked.Spec.Of
	allowed := s.allows(Call{Verb: of.Verb, Group: of.Group, Resource: strings.TrimSuffix(of.Resource+"/"+of.Subresource, "/"), Namespace: of.Namespace, Name: of.Name})
	answer(w, http.StatusCreated, map[string]any{
		"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": map[string]any{},
		"spec": asked.Spec, "status": map[string]any{"allowed": allowed},
	})
}
