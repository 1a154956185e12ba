//go:build cluster

package discover

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/controlplane"
)

// said collects what a watcher found.
type said struct {
	mu      sync.Mutex
	last    Found
	changed chan struct{}
}

func (s *said) take(_ string, f Found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = f
	poke(s.changed)
}

func (s *said) await(t *testing.T, what string, is func(names []string, problems string) bool) Found {
	t.Helper()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		f := s.last
		s.mu.Unlock()
		var names []string
		for _, e := range f.Entries {
			names = append(names, e.Name)
		}
		if is(names, strings.Join(f.Problems, "\n")) {
			return f
		}
		select {
		case <-s.changed:
		case <-timeout.C:
			require.FailNow(t, "never: "+what, "%v\n%s", names, strings.Join(f.Problems, "\n"))
		}
	}
}

func are(names ...string) func([]string, string) bool {
	return func(is []string, _ string) bool { return slices.Equal(is, names) }
}

// Annotations name targets: added, renamed, withdrawn, and with mistakes that leave one out and are said.
func TestClusterAnnotationsNameTargets(t *testing.T) {
	plane := controlplane.Shared(t)
	ns := plane.Namespace(t)
	require.NoError(t, plane.Apply(t.Context(), deployment(ns, "api", "one", "v41", 1)+deployment(ns, "web", "two", "v1", 1)+fmt.Sprintf(service, ns, "one")))
	h := newHistories()
	s := &said{changed: make(chan struct{}, 1)}
	on := prod(t, plane, plane.Kubeconfig, Place{ns, "production"})
	stop := watch(t, h, s.take, on)
	annotate := func(ref string, pairs ...string) {
		kubectl(t, plane, append([]string{"-n", ns, "annotate", "--overwrite", ref}, pairs...)...)
	}
	annotate("deployment/api", "astern.dev/target=api", "astern.dev/class=web", "astern.dev/select=service=api", "astern.dev/vars.smoke=/healthz")
	f := s.await(t, "api is named", are("api"))
	require.Equal(t, ns, f.Entries[0].Workload.Namespace)
	require.Equal(t, map[string]string{"smoke": "/healthz"}, f.Entries[0].Vars)
	again, err := Parse(Write("prod", f.Entries))
	require.NoError(t, err)
	require.True(t, again[0].Same(f.Entries[0]))

	annotate("deployment/web", "astern.dev/target=web", "astern.dev/environment=staging")
	s.await(t, "a mistake is said", func(names []string, problems string) bool {
		return slices.Equal(names, []string{"api"}) && strings.Contains(problems, "Deployment "+ns+"/web is no target") && strings.Contains(problems, "staging")
	})
	annotate("deployment/web", "astern.dev/target=api", "astern.dev/environment-")
	s.await(t, "who has the name keeps it", func(names []string, problems string) bool {
		return slices.Equal(names, []string{"api"}) && strings.Contains(problems, "web is no target: api is Deployment "+ns+"/api already")
	})
	annotate("deployment/web", "astern.dev/target-")
	annotate("service/api", "astern.dev/target=api")
	s.await(t, "the Service stands before its Deployment", func(_ []string, problems string) bool {
		return problems == "" && s.last.Entries[0].Workload.Kind == "Service"
	})
	annotate("service/api", "astern.dev/target-")
	s.await(t, "back", func(_ []string, problems string) bool {
		return problems == "" && s.last.Entries[0].Workload.Kind == "Deployment"
	})

	h.mu.Lock()
	h.open["api"] = "api-7"
	h.mu.Unlock()
	annotate("deployment/api", "astern.dev/target=api-eu")
	s.await(t, "an open incident keeps its target", func(names []string, problems string) bool {
		return slices.Equal(names, []string{"api", "api-eu"}) && strings.Contains(problems, "api is now named api-eu") && strings.Contains(problems, "until api-7 is closed")
	})
	h.mu.Lock()
	delete(h.open, "api")
	h.mu.Unlock()
	s.await(t, "then it goes", func(names []string, problems string) bool {
		return slices.Equal(names, []string{"api-eu"}) && strings.Contains(problems, "api is now named api-eu")
	})
	last := s.last.Entries
	stop()

	// Who cannot be asked leaves what was known in force.
	poor, err := plane.KubeconfigFor(t.Context(), ns, "poor")
	require.NoError(t, err)
	blind := prod(t, plane, poor, Place{ns, "production"})
	blind.Known = last
	watch(t, h, s.take, blind)
	s.await(t, "it cannot be read", func(names []string, problems string) bool {
		return slices.Equal(names, []string{"api-eu"}) && strings.Contains(problems, "its targets stay as they were") && strings.Contains(problems, "astern rbac")
	})
}
