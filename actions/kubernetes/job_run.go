package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	keyKey     = "astern.dev/key"
	goalKey    = "astern.dev/goal"
	maxPrinted = 16 << 10
	// maxLog is read so that its end can be kept: the API counts from the beginning.
	maxLog      = 256 << 10
	keepReads   = 24 * time.Hour
	keepChanges = 7 * 24 * time.Hour
	container   = "job"
)

// object is the Job as it is made.
func (j *Job) object(env actions.Env) *unstructured.Unstructured {
	ref, keep := j.ref(env), keepChanges
	if j.Reads {
		keep = keepReads
	}
	labels := map[string]any{"app.kubernetes.io/managed-by": "astern", "app.kubernetes.io/name": j.Object}
	spec := map[string]any{
		"backoffLimit": int64(0), "completions": int64(1), "parallelism": int64(1),
		"activeDeadlineSeconds":   int64((j.within() + time.Second - 1) / time.Second),
		"ttlSecondsAfterFinished": int64(keep / time.Second),
		"template":                map[string]any{"metadata": map[string]any{"labels": maps.Clone(labels)}, "spec": j.pod()},
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "batch/v1", "kind": "Job",
		"metadata": map[string]any{"name": ref.Name, "namespace": ref.Namespace, "labels": labels,
			"annotations": map[string]any{keyKey: env.Key, goalKey: cluster.Digest(spec)}},
		"spec": spec,
	}}
}

// pod is restricted, as the Pod Security Standards call it.
func (j *Job) pod() map[string]any {
	of := map[string]any{"name": container, "image": j.Image, "terminationMessagePolicy": "FallbackToLogsOnError",
		"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}}}
	for what, words := range map[string][]actions.Arg{"command": j.Command, "args": j.Args} {
		if len(words) > 0 {
			of[what] = literally(words)
		}
	}
	var variables []any
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		variables = append(variables, map[string]any{"name": name, "value": literal(j.Env[name])})
	}
	if len(variables) > 0 {
		of["env"] = variables
	}
	pod := map[string]any{
		"restartPolicy": "Never", "enableServiceLinks": false, "automountServiceAccountToken": j.ServiceAccount != "",
		"securityContext": map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers":      []any{of},
	}
	if j.ServiceAccount != "" {
		pod["serviceAccountName"] = j.ServiceAccount
	}
	return pod
}

// literal keeps Kubernetes from putting variables into a word: $(NAME) stays what it is.
func literal(word string) string { return strings.ReplaceAll(word, "$", "$$") }

func literally(words []actions.Arg) []any {
	var all []any
	for _, word := range words {
		all = append(all, literal(string(word)))
	}
	return all
}

// make creates the Job; one that is there already stays.
func (j *Job) make(ctx context.Context, env actions.Env, c *cluster.Cluster, dry bool) error {
	_, err := c.Create(ctx, j.object(env), cluster.CreateOptions{DryRun: dry})
	if cluster.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// read reads the Job, and refuses one of the name that another step or another program made.
func (j *Job) read(ctx context.Context, env actions.Env, c *cluster.Cluster) (*unstructured.Unstructured, error) {
	job, err := c.Get(ctx, j.ref(env))
	if err != nil {
		return nil, err
	}
	ours := j.object(env).GetAnnotations()
	if is := job.GetAnnotations(); is[keyKey] != ours[keyKey] || is[goalKey] != ours[goalKey] {
		return nil, actions.Permanent(fmt.Errorf("%s is there, but is not the one of this step: delete it, or write another `name`", j.ref(env)))
	}
	return job, nil
}

// Run makes the Job once, waits for its end, and reads what it printed.
func (j *Job) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, err := j.cluster(env)
	if err != nil {
		return actions.Result{}, err
	}
	began := env.Now()
	if _, err := j.read(ctx, env, c); cluster.IsNotFound(err) {
		err = j.make(ctx, env, c, false)
		if err != nil {
			return actions.Result{}, err
		}
	} else if err != nil {
		return actions.Result{}, err
	}
	job, state, err := j.wait(ctx, env, c)
	if err != nil {
		return actions.Result{}, err
	}
	did := actions.Result{Outputs: JobOutputs{Job: job.GetName()}}
	printed, why := j.printed(ctx, c, job)
	did.Output = printed
	if failed := jobCondition(job, "Failed"); failed != nil {
		return did, actions.Permanent(fmt.Errorf("%s failed: %s%s", j.ref(env), failed["reason"], state))
	}
	did.Summary = fmt.Sprintf("%s succeeded in %s%s", j.ref(env), env.Now().Sub(began).Round(100*time.Millisecond), why)
	return did, nil
}

// wait looks until the Job has ended; it gives the last that was seen of its pod: one that ran out of time is gone by then.
func (j *Job) wait(ctx context.Context, env actions.Env, c *cluster.Cluster) (job *unstructured.Unstructured, state string, err error) {
	err = cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		if job, err = j.read(ctx, env, c); err != nil {
			return false, err
		}
		pods, err := j.pods(ctx, c, job)
		if err != nil {
			return false, err
		}
		if is := podState(pods); is != "" && is != state {
			state = is
			if env.Progress != nil {
				env.Progress(j.ref(env).String() + state)
			}
		}
		return jobCondition(job, "Complete") != nil || jobCondition(job, "Failed") != nil, nil
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%s has not ended%s: %w", j.ref(env), state, ctx.Err())
	}
	return job, state, err
}

func (j *Job) pods(ctx context.Context, c *cluster.Cluster, job *unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	all, err := c.List(ctx, "Pod", j.Namespace, "batch.kubernetes.io/job-name="+job.GetName())
	return slices.DeleteFunc(all, func(pod unstructured.Unstructured) bool { return !metav1.IsControlledBy(&pod, job) }), err
}

// jobCondition is a condition of the Job that holds.
func jobCondition(job *unstructured.Unstructured, kind string) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	for _, c := range conditions {
		if is, _ := c.(map[string]any); is["type"] == kind && is["status"] == "True" {
			return is
		}
	}
	return nil
}

// podState says how its container ended, or why it has not begun.
func podState(pods []unstructured.Unstructured) string {
	for _, pod := range pods {
		statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
		for _, s := range statuses {
			is, _ := s.(map[string]any)
			if ended := subMap(is, "state", "terminated"); len(ended) > 0 {
				return strings.TrimRight(fmt.Sprintf(": exit code %v, %s: %s", ended["exitCode"], wordOf(ended, "reason"), firstLine(wordOf(ended, "message"))), ": ")
			}
			if waits := subMap(is, "state", "waiting"); wordOf(waits, "reason") != "" && wordOf(waits, "reason") != "ContainerCreating" {
				return strings.TrimRight(fmt.Sprintf(": %s: %s", wordOf(waits, "reason"), firstLine(wordOf(waits, "message"))), ": ")
			}
		}
		if reason, _, _ := unstructured.NestedString(pod.Object, "status", "reason"); reason != "" {
			return ": " + reason
		}
	}
	return ""
}

func wordOf(in map[string]any, key string) string {
	word, _ := in[key].(string)
	return word
}

// firstLine is what fits into an error.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(visible(text)), "\n")
	return strings.ToValidUTF8(line[:min(len(line), 200)], "")
}

// printed is the end of what the program printed. That it cannot be read fails nothing: the Job's condition counts.
func (j *Job) printed(ctx context.Context, c *cluster.Cluster, job *unstructured.Unstructured) (text, why string) {
	pods, err := j.pods(ctx, c, job)
	if err != nil || len(pods) == 0 {
		return "", "; its log is gone"
	}
	text, err = c.Logs(ctx, j.Namespace, pods[0].GetName(), container, maxLog)
	if err != nil {
		return "", "; its log cannot be read"
	}
	text = visible(text)
	if len(text) > maxPrinted {
		text = "…" + strings.ToValidUTF8(text[len(text)-maxPrinted+len("…"):], "")
	}
	return text, ""
}

// visible is text that a terminal can show.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// Verify is nil when the Job has succeeded. One that still runs, and one that failed, is found again by the next attempt.
func (j *Job) Verify(ctx context.Context, env actions.Env) error {
	c, err := j.cluster(env)
	if err != nil {
		return err
	}
	job, err := j.read(ctx, env, c)
	switch {
	case cluster.IsNotFound(err):
		return actions.NotDone("%s was not made", j.ref(env))
	case err != nil:
		return err
	case jobCondition(job, "Complete") != nil:
		return nil
	case jobCondition(job, "Failed") != nil:
		return actions.NotDone("%s failed: %s", j.ref(env), jobCondition(job, "Failed")["reason"])
	}
	return actions.NotDone("%s has not ended", j.ref(env))
}
