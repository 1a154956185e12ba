package clustertest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind is one kind of object that the API serves.
type Kind struct {
	Group, Version, Kind, Plural string
	Cluster                      bool // it lies in no namespace
	// Subs are its subresources: status, scale. Counted says that it has a generation.
	Subs    []string
	Counted bool
}

func (k Kind) apiVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

func (k Kind) resource() schema.GroupResource {
	return schema.GroupResource{Group: k.Group, Resource: k.Plural}
}

func (k Kind) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

func (k Kind) is(kind string) bool { return k.Kind == kind || k.Kind+"."+k.Group == kind }

var (
	status = []string{"status"}
	scaled = []string{"status", "scale"}
	// standard are the kinds that every API server has, and those of the add-ons that astern works with.
	standard = []Kind{
		{Version: "v1", Kind: "Namespace", Plural: "namespaces", Cluster: true, Subs: status},
		{Version: "v1", Kind: "Node", Plural: "nodes", Cluster: true, Subs: status},
		{Version: "v1", Kind: "Pod", Plural: "pods", Subs: []string{"status", "log"}, Counted: true},
		{Version: "v1", Kind: "Service", Plural: "services", Subs: status},
		{Version: "v1", Kind: "ConfigMap", Plural: "configmaps"},
		{Version: "v1", Kind: "Secret", Plural: "secrets"},
		{Version: "v1", Kind: "ServiceAccount", Plural: "serviceaccounts"},
		{Version: "v1", Kind: "PersistentVolumeClaim", Plural: "persistentvolumeclaims", Subs: status},
		{Version: "v1", Kind: "Event", Plural: "events"},
		{Group: "apps", Version: "v1", Kind: "Deployment", Plural: "deployments", Subs: scaled, Counted: true},
		{Group: "apps", Version: "v1", Kind: "ReplicaSet", Plural: "replicasets", Subs: scaled, Counted: true},
		{Group: "apps", Version: "v1", Kind: "StatefulSet", Plural: "statefulsets", Subs: scaled, Counted: true},
		{Group: "apps", Version: "v1", Kind: "DaemonSet", Plural: "daemonsets", Subs: status, Counted: true},
		{Group: "apps", Version: "v1", Kind: "ControllerRevision", Plural: "controllerrevisions"},
		{Group: "batch", Version: "v1", Kind: "Job", Plural: "jobs", Subs: status, Counted: true},
		{Group: "batch", Version: "v1", Kind: "CronJob", Plural: "cronjobs", Subs: status, Counted: true},
		{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler", Plural: "horizontalpodautoscalers", Subs: status},
		{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget", Plural: "poddisruptionbudgets", Subs: status, Counted: true},
		{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice", Plural: "endpointslices"},
		{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease", Plural: "leases"},
		{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress", Plural: "ingresses", Subs: status, Counted: true},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role", Plural: "roles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding", Plural: "rolebindings"},
		{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicy", Plural: "validatingadmissionpolicies", Cluster: true, Subs: status, Counted: true},
		{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicyBinding", Plural: "validatingadmissionpolicybindings", Cluster: true, Counted: true},
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Plural: "customresourcedefinitions", Cluster: true, Subs: status, Counted: true},
		{Group: "argoproj.io", Version: "v1alpha1", Kind: "Application", Plural: "applications", Counted: true},
		{Group: "argoproj.io", Version: "v1alpha1", Kind: "ApplicationSet", Plural: "applicationsets", Subs: status, Counted: true},
		{Group: "argoproj.io", Version: "v1alpha1", Kind: "AppProject", Plural: "appprojects", Counted: true},
		{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout", Plural: "rollouts", Subs: scaled, Counted: true},
		{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization", Plural: "kustomizations", Subs: status, Counted: true},
		{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease", Plural: "helmreleases", Subs: status, Counted: true},
		{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository", Plural: "gitrepositories", Subs: status, Counted: true},
		{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "OCIRepository", Plural: "ocirepositories", Subs: status, Counted: true},
		{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "HelmRepository", Plural: "helmrepositories", Subs: status, Counted: true},
		{Group: "image.toolkit.fluxcd.io", Version: "v1", Kind: "ImageRepository", Plural: "imagerepositories", Subs: status, Counted: true},
		{Group: "image.toolkit.fluxcd.io", Version: "v1", Kind: "ImagePolicy", Plural: "imagepolicies", Subs: status, Counted: true},
		{Group: "image.toolkit.fluxcd.io", Version: "v1", Kind: "ImageUpdateAutomation", Plural: "imageupdateautomations", Subs: status, Counted: true},
		{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject", Plural: "scaledobjects", Subs: status, Counted: true},
		{Group: "flagger.app", Version: "v1beta1", Kind: "Canary", Plural: "canaries", Subs: status, Counted: true},
		{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute", Plural: "httproutes", Subs: status, Counted: true},
	}
)

// Without takes away the kinds of API groups, as a cluster that lacks an add-on: its discovery does not name them.
func (s *Server) Without(groups ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds = slices.DeleteFunc(slices.Clone(s.kinds), func(k Kind) bool { return slices.Contains(groups, k.Group) })
}

// Install adds a kind, as a CustomResourceDefinition does.
func (s *Server) Install(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds = append(slices.Clone(s.kinds), k)
}

func (s *Server) kind(name string) (Kind, bool) {
	at := slices.IndexFunc(s.kinds, func(k Kind) bool { return k.is(name) })
	if at < 0 {
		return Kind{}, false
	}
	return s.kinds[at], true
}

func (s *Server) served(group, version, plural string) (Kind, bool) {
	at := slices.IndexFunc(s.kinds, func(k Kind) bool { return k.Group == group && k.Version == version && k.Plural == plural })
	if at < 0 {
		return Kind{}, false
	}
	return s.kinds[at], true
}

// discover answers /version, /api, /apis and what stands right below them; false for any other path.
func (s *Server) discover(w http.ResponseWriter, parts []string) bool {
	switch {
	case len(parts) == 1 && parts[0] == "version":
		answer(w, http.StatusOK, map[string]string{"major": "1", "minor": "37", "gitVersion": "v1.37.2"})
	case len(parts) == 1 && parts[0] == "api":
		answer(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case len(parts) == 1 && parts[0] == "apis":
		answer(w, http.StatusOK, s.groups())
	case len(parts) == 2 && parts[0] == "api":
		s.resources(w, "", parts[1])
	case len(parts) == 3 && parts[0] == "apis":
		s.resources(w, parts[1], parts[2])
	default:
		return false
	}
	return true
}

func (s *Server) groups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, k := range s.kinds {
		if k.Group == "" || slices.ContainsFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == k.Group }) {
			continue
		}
		version := metav1.GroupVersionForDiscovery{GroupVersion: k.apiVersion(), Version: k.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{Name: k.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version})
	}
	slices.SortFunc(list.Groups, func(a, b metav1.APIGroup) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (s *Server) resources(w http.ResponseWriter, group, version string) {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: strings.TrimPrefix(group+"/"+version, "/")}
	for _, k := range s.kinds {
		if k.Group != group || k.Version != version {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: k.Plural, SingularName: strings.ToLower(k.Kind), Namespaced: !k.Cluster, Kind: k.Kind,
			Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update"}})
		for _, sub := range k.Subs {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: k.Plural + "/" + sub, Namespaced: !k.Cluster, Kind: k.Kind, Verbs: metav1.Verbs{"get", "patch", "update"}})
		}
	}
	if len(list.APIResources) == 0 {
		http.NotFound(w, nil)
		return
	}
	answer(w, http.StatusOK, list)
}
