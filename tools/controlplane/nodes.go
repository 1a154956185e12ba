package controlplane

import (
	"context"
	_ "embed"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Nodes are the names of the nodes every control plane has.
var Nodes = []string{"node-1", "node-2", "node-3"}

// What tests write on a pod template, or on a pod, to say what its containers do.
const (
	// StateLabel makes a pod unready: CrashLoop, or ImagePull. Taken away from a pod again, it gets ready.
	StateLabel = "rig.astern.dev/state"
	CrashLoop  = "crash-loop"
	ImagePull  = "image-pull"
	// JobLabel says how a Job's pod ends: JobFails or JobHangs. Without it the pod completes.
	JobLabel = "rig.astern.dev/job"
	JobFails = "fails"
	JobHangs = "hangs"
	// ReadyAfter and EndsAfter are annotations with a duration such as "2s": how long a pod takes to get ready, and to
	// end once it is deleted. Without them both happen at once.
	ReadyAfter = "rig.astern.dev/ready-after"
	EndsAfter  = "rig.astern.dev/ends-after"
)

// PodLog is what every container has printed.
const PodLog = "checking the service\nall checks passed\n"

//go:embed stages.yaml
var stages string

// The parts that several stages share. An image without a digest gets one that is the same for the same image.
const (
	imageID = `{{ if contains "@" .image }}{{ regexReplaceAll ":[^/@]+@" .image "@" | Quote }}` +
		`{{ else }}{{ printf "%s@sha256:%s" (regexReplaceAll ":[^/:]+$" .image "") (sha256sum .image) | Quote }}{{ end }}`
	address = `hostIP: {{ index (NodeIPsWith .spec.nodeName) 0 | Quote }}
      {{ if not .status.podIP }}
      {{ $ip := index (PodIPsWith .spec.nodeName (or .spec.hostNetwork false) (or .metadata.uid "") .metadata.name .metadata.namespace) 0 }}
      podIP: {{ $ip | Quote }}
      podIPs: [{ip: {{ $ip | Quote }}}]
      {{ end }}
      startTime: {{ or .status.startTime $now | Quote }}`
	healthy = `{{ $now := Now }}
      conditions:
      - {lastTransitionTime: {{ $now | Quote }}, status: "True", type: Initialized}
      - {lastTransitionTime: {{ $now | Quote }}, status: "True", type: Ready}
      - {lastTransitionTime: {{ $now | Quote }}, status: "True", type: ContainersReady}
      {{ range .spec.readinessGates }}
      - {lastTransitionTime: {{ $now | Quote }}, status: "True", type: {{ .conditionType | Quote }}}
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: IMAGE_ID
        ready: true
        started: true
        restartCount: 0
        state: {running: {startedAt: {{ $now | Quote }}}, waiting: null}
      {{ end }}
      ADDRESS
      phase: Running`
)

// startNodes starts kwok, which plays the kubelets, and waits until the nodes are ready.
func (c *ControlPlane) startNodes(ctx context.Context) error {
	for name, text := range map[string]string{
		"stages.yaml": fill(stages, "HEALTHY", healthy, "ADDRESS", address, "IMAGE_ID", imageID, "POD_LOG", c.path("pod-output")),
		"pod-output":  containerLog(PodLog),
	} {
		if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := c.run("kwok", "--kubeconfig="+c.path("kubelet.kubeconfig"), "--config="+c.path("stages.yaml"),
		"--manage-all-nodes", "--cidr=10.244.0.0/16", "--node-lease-duration-seconds=40",
		"--node-ip=127.0.0.1", "--node-port="+strconv.Itoa(c.ports.kubelet), "--server-address="+local(c.ports.kubelet),
		"--tls-cert-file="+c.path("serving.crt"), "--tls-private-key-file="+c.path("serving.key")); err != nil {
		return err
	}
	var nodes strings.Builder
	for _, name := range Nodes {
		nodes.WriteString("---\napiVersion: v1\nkind: Node\nmetadata: {name: " + name + ", labels: {kubernetes.io/hostname: " + name + "}}\n")
	}
	if err := c.Apply(ctx, nodes.String()); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "", "wait", "--for=condition=Ready", "--timeout=60s", "node", "--all")
	return err
}

// fill replaces one placeholder after the other: what replaces one may hold the next.
func fill(text string, pairs ...string) string {
	for pair := range slices.Chunk(pairs, 2) {
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}

// containerLog writes lines as a container runtime does.
func containerLog(printed string) string {
	var log strings.Builder
	for line := range strings.Lines(printed) {
		log.WriteString("2026-01-01T00:00:00.000000000Z stdout F " + line)
	}
	return log.String()
}
