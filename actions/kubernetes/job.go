package kubernetes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	jobWithin   = actions.Duration(time.Minute)
	jobLongest  = actions.Duration(6 * time.Hour)
	maxJobName  = 63
	maxJobWords = 256
	jobExample  = `- name: smoke
  uses: kubernetes/job
  with:
    namespace: "${target.workload.namespace}"
    name: smoke
    image: registry.example/smoke@sha256:0d8f4f9a6d2c7d1b1e1f0a8a7d4a5d9b3c6e2f7081929394a5b6c7d8e9f0a1b2
    args: ["--base", "http://api-${release.previous.vars.track}:8080"]
    reads: true
    within: 60s
  timeout: 90s
`
)

// Job runs an image of the user's own once, as a Job in the cluster, and waits for its end: a smoke test that needs to be inside,
// a task that has no API. What it prints is recorded, the last 16 KiB.
//
// It runs once: after a crash or a repeat the same Job is waited for, and one that failed stays failed, so a program that
// needs patience brings its own. It runs as Pod Security calls restricted: not as root, without capabilities and privilege
// escalation, and without a token of the cluster unless service_account names whose. Exit code 0 is success. When the time is over the Job is
// ended. It stays for people to look at, a day when it only reads and a week otherwise.
type Job struct {
	// Namespace to run in.
	Namespace string `yaml:"namespace"`
	// Object is the beginning of the Job's name; what makes it unique is added.
	Object string `yaml:"name"`
	// Image to run; by digest (name@sha256:…) it is the same tomorrow.
	Image string `yaml:"image"`
	// Command replaces the image's entrypoint. There is no shell.
	Command []actions.Arg `yaml:"command,omitempty"`
	// Args replace the image's arguments.
	Args []actions.Arg `yaml:"args,omitempty"`
	// Env are variables. They stand in the plan and in the Job: they are no place for secrets.
	Env map[string]string `yaml:"env,omitempty"`
	// ServiceAccount is whose rights in the cluster the program has; none without a word.
	ServiceAccount string `yaml:"service_account,omitempty"`
	// Within is how long it may take, the start included; 60s without a word. The step's timeout must be longer.
	Within actions.Duration `yaml:"within,omitempty"`
	// Reads says that the program changes nothing, as a smoke test.
	Reads bool `yaml:"reads,omitempty"`
}

// JobOutputs is what later steps can read.
type JobOutputs struct {
	// Job is the name of the Job.
	Job string `json:"job"`
}

// Name is kubernetes/job.
func (j *Job) Name() string { return "kubernetes/job" }

// Outputs types steps.<name>.job.
func (j *Job) Outputs() any { return JobOutputs{} }

// OnlyLooks is what `reads` says.
func (j *Job) OnlyLooks() bool { return j.Reads }

func (j *Job) within() time.Duration { return time.Duration(cmp.Or(j.Within, jobWithin)) }

var (
	imageForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// Validate checks names, words and the time.
func (j *Job) Validate() error {
	failed := []error{cluster.CheckNamespace("namespace", j.Namespace), cluster.CheckNamespace("name", j.Object)}
	switch {
	case j.Image == "":
		failed = append(failed, errors.New("image: is required"))
	case !imageForm.MatchString(j.Image):
		failed = append(failed, fmt.Errorf("image: %.80q is no name of an image", j.Image))
	}
	if j.ServiceAccount != "" {
		failed = append(failed, cluster.CheckName("service_account", j.ServiceAccount))
	}
	if j.Within < 0 || j.Within > jobLongest || j.Within > 0 && j.Within < actions.Duration(time.Second) {
		failed = append(failed, fmt.Errorf("within: must be from 1s to %s", time.Duration(jobLongest)))
	}
	if len(j.Command)+len(j.Args)+len(j.Env) > maxJobWords {
		failed = append(failed, fmt.Errorf("command, args and env: more than %d words", maxJobWords))
	}
	return errors.Join(append(failed, j.words())...)
}

func (j *Job) words() error {
	var failed []error
	for what, words := range map[string][]actions.Arg{"command": j.Command, "args": j.Args} {
		for n, word := range words {
			if strings.ContainsRune(string(word), 0) {
				failed = append(failed, fmt.Errorf("%s[%d]: holds a NUL character", what, n))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		if !variableForm.MatchString(name) {
			failed = append(failed, fmt.Errorf("env: %.80q is no name of a variable", name))
		}
		if strings.ContainsRune(j.Env[name], 0) {
			failed = append(failed, fmt.Errorf("env: the value of %s holds a NUL character", name))
		}
	}
	return errors.Join(failed...)
}

// ref names the Job of one step of one incident: a repeat finds it again.
func (j *Job) ref(env actions.Env) cluster.Ref {
	sum := sha256.Sum256([]byte(env.Key))
	tail := "-" + hex.EncodeToString(sum[:5])
	head := strings.TrimRight(j.Object[:min(len(j.Object), maxJobName-len(tail))], "-")
	return cluster.Ref{Kind: "Job", Namespace: j.Namespace, Name: head + tail}
}

// Access is to make Jobs in the namespace and to read them, their pods and what those print.
func (j *Job) Access() []actions.Access {
	in := cluster.Ref{Kind: "Pod", Namespace: j.Namespace}
	return []actions.Access{cluster.Ref{Kind: "Job", Namespace: j.Namespace}.Access("create", "get"), in.Access("list"), in.Sub("log", "get")}
}

// Ready says whether the Job would be taken now.
func (j *Job) Ready(ctx context.Context, env actions.Env) error {
	c, err := j.cluster(env)
	if err != nil {
		return err
	}
	if err := c.Allowed(ctx, j.Access()); err != nil {
		return err
	}
	return j.make(ctx, env, c, true)
}

func (j *Job) cluster(env actions.Env) (*cluster.Cluster, error) {
	if err := j.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	return cluster.Of(env)
}

// Plan asks the server whether it would take the Job, and shows what would run.
func (j *Job) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, err := j.cluster(env)
	if err != nil {
		return actions.Change{}, err
	}
	if err := j.make(ctx, env, c, true); err != nil {
		return actions.Change{}, err
	}
	ref := j.ref(env)
	change := actions.Change{Changes: !j.Reads, Summary: fmt.Sprintf("run %s as %s, %s at most", j.Image, ref, j.within())}
	change.Diff = append(change.Diff, fmt.Sprintf("+ %s image: %s", ref, j.Image))
	for what, words := range map[string][]actions.Arg{"command": j.Command, "args": j.Args} {
		if len(words) > 0 {
			change.Diff = append(change.Diff, fmt.Sprintf("+ %s %s: %q", ref, what, words))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.Env)) {
		change.Diff = append(change.Diff, fmt.Sprintf("+ %s env %s: %q", ref, name, j.Env[name]))
	}
	if j.ServiceAccount != "" {
		change.Diff = append(change.Diff, fmt.Sprintf("= %s has the rights of ServiceAccount %s/%s", ref, j.Namespace, j.ServiceAccount))
	}
	slices.Sort(change.Diff)
	return change, nil
}
