//go:build e2e

package main_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/repository/repositorytest"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/examples/demo/rig"
	"astern.dev/astern/tools/controlplane"
	"astern.dev/astern/web"
)

const shop = "shop-api"

// clusterWorld is the world of one scenario in a cluster: a namespace, traffic through its Service, Prometheus, Alertmanager,
// and astern with the rights that `astern rbac` gave it and no others.
type clusterWorld struct {
	*world
	cluster   *clusterRig
	namespace string
	traffic   *controlplane.Traffic
	fill      *strings.Replacer
	account   string
	origin    *repositorytest.Origin
	scene     scene
}

// clusterRig is what the scenarios share.
type clusterRig struct {
	*controlplane.ControlPlane
	programs rig.Programs
	binary   string
	// outage is held to read by worlds while they are put up and looked at, and to write while the API server is away.
	outage  sync.RWMutex
	outages atomic.Int64
}

// scene says how the files are filled in: the kind of the workload, and the procedure that is in procedures-<name>.yaml.
type scene struct{ kind, procedure string }

// newClusterWorld puts up a world in which nothing runs yet, and astern has been told nothing but its files.
func newClusterWorld(t *testing.T, r *clusterRig, s scene) *clusterWorld {
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	t.Cleanup(cancel)
	r.outage.RLock()
	t.Cleanup(r.outage.RUnlock)
	up, err := rig.Watch(ctx, r.programs)
	require.NoError(t, err)
	w := &clusterWorld{world: &world{Rig: up, t: t, ctx: ctx, programs: r.programs, binary: r.binary}, cluster: r, namespace: r.Namespace(t)}
	t.Cleanup(w.down)
	t.Cleanup(w.tell)
	w.account, err = r.KubeconfigFor(ctx, w.namespace, "astern")
	require.NoError(t, err)
	w.origin = repositorytest.New(t)
	server := w.origin.HTTPS(t)
	w.scene = s
	w.fill = strings.NewReplacer(
		"<<Git>>", server.URL+"/team/config.git", "<<GitCA>>", server.Connection(t).HTTPS.CAFile, "<<Repository>>", w.origin.Bare,
		"<<Alertmanager>>", up.Alertmanager.URL, "<<AlertmanagerHost>>", up.Alertmanager.Host, "<<Prometheus>>", up.Prometheus.URL,
		"<<Slack>>", up.Addresses.SlackURL, "<<Kubeconfig>>", w.account, "<<Namespace>>", w.namespace,
		"<<Kind>>", s.kind, "<<Procedure>>", s.procedure, "<<Metrics>>", w.metrics())
	for _, name := range []string{"prometheus.yml", "prometheus-rules.yaml"} {
		w.write(w.Dir, name, w.text(name))
	}
	w.write(w.Dir, "git.token", repositorytest.Canary)
	require.NoError(t, w.Prometheus.Reload(ctx))
	return w
}

// tell shows what astern did when the scenario failed.
func (w *clusterWorld) tell() {
	if !w.t.Failed() || w.Astern == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	list, err := w.incidents(ctx)
	w.t.Log(err)
	for _, i := range list {
		told, err := w.Astern.Run(ctx, "explain", i.ID)
		w.t.Log(told, err)
	}
	seen, err := w.Astern.Run(ctx, "targets", shop)
	w.t.Log(seen, err)
	pods, err := w.kubectlIn(ctx, "", "get", "deployments,services,pods", "--output=wide")
	w.t.Log(pods, err)
	for _, name := range []string{"kustomize-controller", "argocd", "source-controller"} {
		if said, err := os.ReadFile(filepath.Join(w.cluster.Dir, name+".log")); err == nil {
			w.t.Logf("%s said last:\n%s", name, said[max(0, len(said)-3000):])
		}
	}
}

// metrics is where Prometheus reads what the traffic counts.
func (w *clusterWorld) metrics() string {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.traffic != nil {
			w.traffic.ServeHTTP(rw, r)
		}
	}))
	w.t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// text is one of the files, filled in.
func (w *clusterWorld) text(name string) string {
	w.t.Helper()
	if name == "procedures.yaml" {
		name = "procedures-" + w.scene.procedure + ".yaml"
	}
	text, err := os.ReadFile(filepath.Join("testdata/e2e/kubernetes", name))
	require.NoError(w.t, err)
	return w.fill.Replace(string(text))
}

func (w *clusterWorld) write(dir, name, text string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

// apply applies manifests as a deployer does.
func (w *clusterWorld) apply(text string) {
	w.t.Helper()
	_, err := w.kubectlIn(w.ctx, text, "apply", "--server-side", "--field-manager=deployer", "--filename=-")
	require.NoError(w.t, err)
}

// commit puts a version of the manifests on the branch and gives the commit.
func (w *clusterWorld) commit(name string) string {
	w.t.Helper()
	w.origin.Commit(w.t, name, map[string]string{"shop/api.yaml": w.text(name), "shop/service.yaml": w.text("service.yaml")})
	w.origin.Git(w.t, "push", "--quiet", "origin", "main")
	return w.origin.Git(w.t, "rev-parse", "HEAD")
}

func (w *clusterWorld) kubectlIn(ctx context.Context, stdin string, args ...string) (string, error) {
	return w.cluster.Kubectl(ctx, stdin, append([]string{"--namespace=" + w.namespace}, args...)...)
}

func (w *clusterWorld) kubectl(args ...string) string {
	w.t.Helper()
	out, err := w.kubectlIn(w.ctx, "", args...)
	require.NoError(w.t, err)
	return out
}

// begin starts the traffic and astern, arms it, and waits until it knows the version that runs, which is then called good.
func (w *clusterWorld) begin(workloads ...string) {
	w.t.Helper()
	for _, name := range workloads {
		require.NoError(w.t, w.cluster.RolledOut(w.ctx, w.namespace, name))
	}
	var err error
	w.traffic, err = w.cluster.Traffic(w.ctx, w.namespace, "api", "version")
	require.NoError(w.t, err)
	w.t.Cleanup(w.traffic.Stop)
	w.Edit = func(name, _ string) string { return w.text(name) }
	w.grant()
	require.NoError(w.t, w.StartAstern(w.ctx, w.binary))
	w.run("arm", "--reason=the test may act")
	w.runs("v41")
	w.run("release", "judge", shop, "v41", "--verdict=good", "--reason=it has run for long")
	require.NoError(w.t, w.traffic.Since(w.ctx, "v41", 100))
}

// grant gives astern what `astern rbac` prints.
func (w *clusterWorld) grant() {
	w.t.Helper()
	dir := w.t.TempDir()
	for _, name := range []string{"astern.yaml", "rules.yaml", "targets.yaml", "communications.yaml", "procedures.yaml"} {
		w.write(dir, name, w.text(name))
	}
	for _, token := range []string{"sender", "on-call", "slack", "git"} {
		w.write(dir, token+".token", "unused")
	}
	roles, err := exec.CommandContext(w.ctx, w.binary, "rbac", "--service-account="+w.namespace+"/astern", dir).Output()
	require.NoError(w.t, err)
	_, err = w.cluster.Kubectl(w.ctx, string(roles), "apply", "--filename=-")
	require.NoError(w.t, err)
}

// runs waits until astern knows that a version runs.
func (w *clusterWorld) runs(version string) {
	w.t.Helper()
	w.until(version+" to be known", func(ctx context.Context) (bool, error) {
		got, err := w.Astern.Run(ctx, "targets", shop)
		if err == nil && !strings.Contains(got, version) {
			err = fmt.Errorf("astern targets: %s", got)
		}
		return err == nil, err
	})
}

// disturb is what happens to the world while a step is under way.
type disturb func(w *clusterWorld)

func undisturbed(*clusterWorld) {}

// asternKilled ends astern as kill -9 does, and starts it again.
func asternKilled(w *clusterWorld) {
	w.Astern.Kill()
	require.NoError(w.t, w.Astern.Restart(w.ctx))
}

// apiServerKilled takes the API server away, and gives it back. One outage is enough for all steps that are under way.
func apiServerKilled(w *clusterWorld) {
	r := w.cluster
	before := r.outages.Load()
	r.outage.Lock()
	defer r.outage.Unlock()
	if r.outages.Load() > before {
		return
	}
	r.outages.Add(1)
	r.KillAPIServer()
	require.NoError(w.t, r.StartAPIServer(w.ctx))
}

// through disturbs each step of the plan once, and waits for the good end.
func (w *clusterWorld) through(id string, disturb disturb) web.IncidentAnswer {
	w.t.Helper()
	now := w.sees(id, "planned", func(i incident.Incident) bool { return i.Plan != nil && len(i.Steps) > 0 })
	w.cluster.outage.RUnlock()
	defer w.cluster.outage.RLock()
	for _, step := range now.Incident.Plan.Steps {
		w.begun(id, step.Name)
		disturb(w)
	}
	return w.inPhase(id, incident.Succeeded)
}

// begun waits until a step was begun; it may have ended since.
func (w *clusterWorld) begun(id, step string) {
	w.t.Helper()
	w.sees(id, "in step "+step, func(i incident.Incident) bool {
		state := stepOf(i, step).State
		return state != "" && state != incident.NotStarted
	})
}

// only shows that all traffic is answered by one version, and well.
func (w *clusterWorld) only(version string) {
	w.t.Helper()
	before, _ := w.traffic.Answers()
	require.NoError(w.t, w.traffic.Since(w.ctx, version, 100))
	after, missed := w.traffic.Answers()
	for side, answers := range after {
		if side != version {
			require.Equal(w.t, before[side], answers, "%s answers still", side)
		}
	}
	require.Equal(w.t, before[version].Failed, after[version].Failed)
	w.t.Logf("answers %v, missed %d: %v", after, missed, w.traffic.Missed())
}
