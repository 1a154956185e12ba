package cluster

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"astern.dev/astern/actions"
)

// Ref names one object. Kind is a kind such as Deployment, with its group where another kind of the cluster has the same
// name: Service.serving.knative.dev. A Namespace stays empty for what lies in none.
type Ref struct{ Kind, Namespace, Name string }

// String is "Deployment shop/api".
func (r Ref) String() string {
	kind, _ := splitKind(r.Kind)
	if r.Namespace == "" {
		return kind + " " + r.Name
	}
	return kind + " " + r.Namespace + "/" + r.Name
}

// Validate checks the form of the names: they go into paths.
func (r Ref) Validate() error {
	failed := []error{CheckKind("kind", r.Kind), CheckName("name", r.Name)}
	if r.Namespace != "" {
		failed = append(failed, CheckNamespace("namespace", r.Namespace))
	}
	return errors.Join(failed...)
}

// RefOf names an object that was read.
func RefOf(obj *unstructured.Unstructured) Ref {
	gvk := obj.GroupVersionKind()
	name := gvk.Kind
	if b, known := builtin[gvk.Kind]; gvk.Group != "" && (!known || b.Group != gvk.Group) {
		name += "." + gvk.Group
	}
	return Ref{name, obj.GetNamespace(), obj.GetName()}
}

// CheckName refuses what is no name of an object.
func CheckName(field, name string) error {
	if name == "" {
		return fmt.Errorf("%s: is required", field)
	}
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return fmt.Errorf("%s: %.80q is no name of an object: lower case letters, digits, - and . alone, 253 at most", field, name)
	}
	return nil
}

// CheckNamespace refuses what is no namespace.
func CheckNamespace(field, name string) error {
	if name == "" {
		return fmt.Errorf("%s: is required", field)
	}
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
		return fmt.Errorf("%s: %.80q is no namespace: lower case letters, digits and - alone, 63 at most", field, name)
	}
	return nil
}

// CheckKind refuses what is no kind, with or without its group.
func CheckKind(field, value string) error {
	kind, group := splitKind(value)
	if kind == "" {
		return fmt.Errorf("%s: is required", field)
	}
	if len(validation.IsDNS1035Label(strings.ToLower(kind))) > 0 || group != "" && len(validation.IsDNS1123Subdomain(group)) > 0 {
		return fmt.Errorf("%s: %.80q is no kind such as Deployment or Application.argoproj.io", field, value)
	}
	return nil
}

func splitKind(value string) (kind, group string) {
	kind, group, _ = strings.Cut(value, ".")
	return kind, group
}

// Access is a right to these verbs on the object, of use in an action's Access.
func (r Ref) Access(verbs ...string) actions.Access { return r.Sub("", verbs...) }

// Sub is a right to these verbs on a subresource of the object, such as scale.
func (r Ref) Sub(subresource string, verbs ...string) actions.Access {
	k := guess(r.Kind)
	return actions.Access{Group: k.Group, Resource: k.Resource, Subresource: subresource, Namespace: r.Namespace, Name: r.Name, Verbs: verbs}
}
