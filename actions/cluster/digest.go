package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// controllers write these into the templates of what they own; they name a revision and are no part of it.
var templateLabels = []string{"pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"}

// restartedAt is what `kubectl rollout restart` writes: the same version, started anew.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// TemplateDigest names a pod template by its content: a Deployment and the ReplicaSet it made have the same, and a
// restart does not change it.
func TemplateDigest(template map[string]any) (string, error) {
	if _, known := template["spec"].(map[string]any); !known {
		return "", errors.New("digest of a pod template: it has no spec")
	}
	clean := runtime.DeepCopyJSON(template)
	metadata, _ := clean["metadata"].(map[string]any)
	for _, label := range templateLabels {
		unstructured.RemoveNestedField(clean, "metadata", "labels", label)
	}
	unstructured.RemoveNestedField(clean, "metadata", "annotations", restartedAt)
	for _, field := range []string{"labels", "annotations", "creationTimestamp"} {
		if value, is := metadata[field].(map[string]any); metadata[field] == nil || is && len(value) == 0 {
			delete(metadata, field)
		}
	}
	if len(metadata) == 0 {
		delete(clean, "metadata")
	}
	return Digest(clean), nil
}

// Digest is the sha256 of a value's canonical JSON: keys sorted, no spaces.
func Digest(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		raw = fmt.Appendf(nil, "%#v", v)
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}
