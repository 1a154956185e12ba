package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster/clustertest"
)

const smokeJob = `{namespace: shop, name: smoke, image: "registry.example/smoke:1", args: ["--base", "http://api-blue:8080"]}`

func newJob() actions.Action { return &Job{} }

func jobOf(t testing.TB, parameters string) *Job {
	t.Helper()
	action, err := actiontest.Decode(newJob, parameters)
	require.NoError(t, err)
	require.NoError(t, action.Validate())
	return action.(*Job)
}

// jobs is an API server that runs Jobs; each prints two lines.
func jobs(t testing.TB) *clustertest.Server {
	t.Helper()
	s := clustertest.New(t)
	s.Controllers()
	s.Log("shop", "*", "checking the service\nall checks passed\n")
	return s
}

func TestJob(t *testing.T) {
	world := func(t *testing.T) *actiontest.World { return worldOf(t, jobs(t)) }
	// A Job that only reads is no change of anything but the list of Jobs.
	beside := func(t *testing.T) *actiontest.World {
		s := jobs(t)
		s.Add(apiNeeds)
		w := worldOf(t, s)
		w.State = func() string {
			lines := slices.DeleteFunc(strings.Split(s.State(), "\n"), func(line string) bool {
				return strings.Contains(line, `"kind":"Job"`) || strings.HasSuffix(line, " writes")
			})
			return strings.Join(append(lines, fmt.Sprint("one Job at most: ", len(s.All("Job", "", "")) <= 1)), "\n")
		}
		return w
	}
	actiontest.Run(t, newJob,
		actiontest.Case{Name: "a task", YAML: smokeJob, World: world, Temporary: []int{429, 500, 503}, Permanent: []int{403}},
		actiontest.Case{Name: "a smoke test", YAML: strings.Replace(smokeJob, "}", ", reads: true}", 1), World: beside, Temporary: []int{429, 500}, Permanent: []int{403}},
	)
}

func TestAJobRunsOnce(t *testing.T) {
	s := jobs(t)
	j, env := jobOf(t, smokeJob), envOf(t, s)
	change, err := j.Plan(t.Context(), env)
	require.NoError(t, err)
	require.True(t, change.Changes)
	require.False(t, j.OnlyLooks())
	require.Regexp(t, `^run registry.example/smoke:1 as Job shop/smoke-[0-9a-f]{10}, 1m0s at most$`, change.Summary)
	require.Contains(t, strings.Join(change.Diff, "\n"), `args: ["--base" "http://api-blue:8080"]`)
	require.ErrorIs(t, j.Verify(t.Context(), env), actions.ErrNotDone)

	did, err := j.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, "checking the service\nall checks passed\n", did.Output)
	name := did.Outputs.(JobOutputs).Job
	require.Equal(t, []string{"create jobs shop/" + name}, s.Writes())
	require.NoError(t, j.Verify(t.Context(), env))
	again, err := jobOf(t, smokeJob).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, did.Output, again.Output)
	require.Len(t, s.Writes(), 1)
	_, err = j.Plan(t.Context(), env)
	require.NoError(t, err, "a Job that is there is no obstacle")
	env.Key = "incident-2/step-1"
	_, err = j.Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, s.Writes(), 2, "another incident's step runs its own")
}

// The pod is what Pod Security calls restricted, and no word is changed on its way into the container.
func TestWhatAJobRunsAs(t *testing.T) {
	s := jobs(t)
	j := jobOf(t, `{namespace: shop, name: smoke, image: "a@sha256:0", command: [/smoke], args: ["$(TOKEN)", "a$b"], env: {BASE: "http://$(X)/"}, within: 90s, reads: true}`)
	did, err := j.Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	job := s.Get("Job", "shop", did.Outputs.(JobOutputs).Job)
	spec := subMap(job.Object, "spec")
	require.Equal(t, []any{int64(0), int64(90), int64(86400)}, []any{spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]})
	require.Equal(t, map[string]any{
		"restartPolicy": "Never", "enableServiceLinks": false, "automountServiceAccountToken": false,
		"securityContext": map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers": []any{map[string]any{"name": "job", "image": "a@sha256:0", "terminationMessagePolicy": "FallbackToLogsOnError",
			"command": []any{"/smoke"}, "args": []any{"$$(TOKEN)", "a$$b"}, "env": []any{map[string]any{"name": "BASE", "value": "http://$$(X)/"}},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}}}},
	}, subMap(job.Object, "spec", "template", "spec"))
	require.True(t, j.OnlyLooks())

	j = jobOf(t, strings.Replace(smokeJob, "}", ", service_account: checker}", 1))
	pod := j.pod()
	require.Equal(t, []any{"checker", true}, []any{pod["serviceAccountName"], pod["automountServiceAccountToken"]})
	require.EqualValues(t, 7*86400, subMap(j.object(envOf(t, s)).Object, "spec")["ttlSecondsAfterFinished"])
}

func TestAJobThatFails(t *testing.T) {
	s := jobs(t)
	j, env := jobOf(t, strings.Replace(smokeJob, "smoke:1", "fails:1", 1)), envOf(t, s)
	s.Add(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: a-stranger, namespace: shop, labels: {batch.kubernetes.io/job-name: %s}}, spec: {containers: [{name: job, image: a}]}, status: {phase: Failed, containerStatuses: [{name: job, state: {terminated: {exitCode: 9, reason: Error}}}]}}`, j.ref(env).Name))
	s.Log("shop", "a-stranger", "from a pod that another made\n")
	did, err := j.Run(t.Context(), env)
	require.ErrorContains(t, err, "failed: BackoffLimitExceeded: exit code 3, Error")
	require.True(t, actions.IsPermanent(err), "a Job that failed stays failed")
	require.Equal(t, "checking the service\nall checks passed\n", did.Output, "what it printed says why")
	require.ErrorIs(t, j.Verify(t.Context(), env), actions.ErrNotDone)
	_, err = jobOf(t, strings.Replace(smokeJob, "smoke:1", "fails:1", 1)).Run(t.Context(), env)
	require.True(t, actions.IsPermanent(err))
	require.Len(t, s.Writes(), 1)
}

// A Job that runs out of time takes its pod with it: why it hung is remembered from before.
func TestAJobThatHangs(t *testing.T) {
	s := jobs(t)
	j, env := jobOf(t, strings.Replace(smokeJob, "smoke:1", "hangs-broken:1", 1)), envOf(t, s)
	env.Progress = func(line string) {
		require.Contains(t, line, "CrashLoopBackOff")
		require.ErrorContains(t, j.Verify(t.Context(), env), "has not ended")
		s.EndJob("shop", j.ref(env).Name, "Failed", "DeadlineExceeded")
	}
	did, err := j.Run(t.Context(), env)
	require.ErrorContains(t, err, "failed: DeadlineExceeded: CrashLoopBackOff: back-off restarting failed container")
	require.Empty(t, did.Output)

	env.Key = "another"
	ctx, cancel := context.WithCancel(t.Context())
	env.Progress = func(string) { cancel() }
	_, err = j.Run(ctx, env)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, actions.IsPermanent(err), "the next attempt waits on")
}

// The Job's condition counts: that its log cannot be read fails nothing.
func TestAJobWhoseLogIsNotThere(t *testing.T) {
	s := clustertest.New(t)
	s.Controllers()
	did, err := jobOf(t, smokeJob).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Contains(t, did.Summary, "its log cannot be read")
	require.Empty(t, did.Output)
	s.Forbid("get", "pods/log")
	_, err = jobOf(t, smokeJob).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
}

func TestWhatAJobPrintedIsBounded(t *testing.T) {
	s := jobs(t)
	s.Log("shop", "*", strings.Repeat("ä line of the log\n", 5000)+"\x1b[2Jthe end\xff\n")
	did, err := jobOf(t, smokeJob).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.LessOrEqual(t, len(did.Output), 16<<10)
	require.True(t, strings.HasSuffix(did.Output, "\n\uFFFD[2Jthe end\uFFFD\n"), "%q", did.Output[len(did.Output)-40:])
}

func TestAJobOfTheNameThatIsAnothers(t *testing.T) {
	s := jobs(t)
	j, env := jobOf(t, smokeJob), envOf(t, s)
	s.Add(fmt.Sprintf(`{apiVersion: batch/v1, kind: Job, metadata: {name: %s, namespace: shop, annotations: {astern.dev/key: %q}}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: job, image: evil}]}}}}`, j.ref(env).Name, env.Key))
	_, err := j.Run(t.Context(), env)
	require.ErrorContains(t, err, "is not the one of this step")
	require.True(t, actions.IsPermanent(err))
	require.Error(t, j.Verify(t.Context(), env))
	require.NotErrorIs(t, j.Verify(t.Context(), env), actions.ErrNotDone)
}

func TestAJobWhoseAnswerGetsLost(t *testing.T) {
	s := jobs(t)
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "create" && !call.DryRun {
			return &clustertest.Fault{CutAfter: true}
		}
		return nil
	})
	j, env := jobOf(t, smokeJob), envOf(t, s)
	_, err := j.Run(t.Context(), env)
	require.True(t, actions.IsDoubtful(err))
	require.NoError(t, j.Verify(t.Context(), env))
	_, err = j.Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, s.All("Job", "shop", ""), 1)
}

// A second attempt that is as fast as the first finds its Job made.
func TestAJobThatIsMadeTwiceAtOnce(t *testing.T) {
	s := jobs(t)
	j, env := jobOf(t, smokeJob), envOf(t, s)
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "create" && s.Get("Job", "shop", j.ref(env).Name) == nil {
			raw, err := j.object(env).MarshalJSON()
			require.NoError(t, err)
			s.Add(string(raw))
		}
		return nil
	})
	_, err := j.Run(t.Context(), env)
	require.NoError(t, err)
	require.Empty(t, s.Writes())
	require.Len(t, s.All("Job", "shop", ""), 1)
}

func TestTheRightsOfAJob(t *testing.T) {
	s := jobs(t)
	s.Only(jobOf(t, smokeJob).Access()...)
	require.NoError(t, jobOf(t, smokeJob).Ready(t.Context(), envOf(t, s)))
	did, err := jobOf(t, smokeJob).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.NotEmpty(t, did.Output)
	s = jobs(t)
	s.Forbid("create", "jobs")
	_, err = jobOf(t, smokeJob).Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "create jobs")
	_, err = jobOf(t, smokeJob).Plan(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "create jobs")
}

// A namespace that refuses the Job says so in the plan.
func TestAJobThatIsNotTaken(t *testing.T) {
	s := jobs(t)
	_, err := jobOf(t, strings.Replace(smokeJob, "namespace: shop", "namespace: nowhere", 1)).Plan(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, `namespaces "nowhere" not found`)
	require.Empty(t, s.Writes())
}

func TestJobsThatAreRefused(t *testing.T) {
	valid := func() *Job { return &Job{Namespace: "shop", Object: "smoke", Image: "a:1"} }
	require.NoError(t, valid().Validate())
	for why, break_ := range map[string]func(j *Job){
		"namespace: is required":       func(j *Job) { j.Namespace = "" },
		"name: is required":            func(j *Job) { j.Object = "" },
		"image: is required":           func(j *Job) { j.Image = "" },
		"is no name of an image":       func(j *Job) { j.Image = "--privileged" },
		"within: must be":              func(j *Job) { j.Within = actions.Duration(time.Millisecond) },
		"within: must be from":         func(j *Job) { j.Within = actions.Duration(7 * time.Hour) },
		"service_account: ":            func(j *Job) { j.ServiceAccount = "a/b" },
		"args[0]: holds a NUL":         func(j *Job) { j.Args = []actions.Arg{"a\x00b"} },
		"command[1]: holds a NUL":      func(j *Job) { j.Command = []actions.Arg{"/a", "\x00"} },
		"env: the value of A holds":    func(j *Job) { j.Env = map[string]string{"A": "\x00"} },
		`env: "A=B" is no name of a v`: func(j *Job) { j.Env = map[string]string{"A=B": "x"} },
		"more than 256 words":          func(j *Job) { j.Args = make([]actions.Arg, 257) },
	} {
		j := valid()
		break_(j)
		require.ErrorContains(t, j.Validate(), why)
	}
	for _, hostile := range actiontest.Hostile() {
		for _, j := range []*Job{{Namespace: hostile, Object: "smoke", Image: "a"}, {Namespace: "shop", Object: hostile, Image: "a"}, {Namespace: "shop", Object: "smoke", Image: "a", ServiceAccount: hostile + "x y"}} {
			if j.Validate() == nil {
				require.Regexp(t, `^[a-z0-9][a-z0-9-]*$`, j.Namespace+j.Object)
			}
		}
	}
	long := valid()
	long.Object = strings.Repeat("a", 51) + "-" + strings.Repeat("b", 11)
	require.Regexp(t, `^a{51}-[0-9a-f]{10}$`, long.ref(actions.Env{Key: "k"}).Name)
}

// What a stranger wrote into an alert stays one word of the program, whatever it holds.
func TestHostileWordsStayOneWord(t *testing.T) {
	for _, hostile := range actiontest.Hostile() {
		j := &Job{Namespace: "shop", Object: "smoke", Image: "a", Args: []actions.Arg{actions.Arg(hostile)}, Env: map[string]string{"A": hostile}}
		if err := j.Validate(); err != nil {
			require.Contains(t, hostile, "\x00")
			continue
		}
		containers, _, _ := unstructured.NestedSlice(map[string]any{"spec": j.pod()}, "spec", "containers")
		args := containers[0].(map[string]any)["args"].([]any)
		require.Equal(t, hostile, strings.ReplaceAll(args[0].(string), "$$", "$"))
		require.NotRegexp(t, `(^|[^$])(\$\$)*\$\(`, args[0])
	}
}
