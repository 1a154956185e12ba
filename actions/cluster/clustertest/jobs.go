package clustertest

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// work makes the pod of a Job and lets it end: one whose image holds "fails" ends with exit code 3, one with "hangs" stays.
func (s *Server) work(job *object) {
	if ended(job) {
		return
	}
	pods := s.owned(job, "Pod")
	if len(pods) == 0 {
		template := (&unstructured.Unstructured{Object: nested(job.Unstructured, "spec", "template").(map[string]any)}).DeepCopy()
		_ = unstructured.SetNestedField(template.Object, job.GetName(), "metadata", "labels", "batch.kubernetes.io/job-name")
		pods = append(pods, s.owns(job, "Pod", job.GetName()+"-x1", template))
		s.alter(pods[0], s.runs)
	}
	image := images(job)
	switch {
	case strings.Contains(image, "hangs"):
		s.alter(job, func(u *unstructured.Unstructured) { u.Object["status"] = map[string]any{"active": int64(1)} })
	case strings.Contains(image, "fails"):
		s.alter(pods[0], func(u *unstructured.Unstructured) { terminate(u, "Failed", 3, "Error") })
		s.endJob(job, "Failed", "BackoffLimitExceeded")
	default:
		s.alter(pods[0], func(u *unstructured.Unstructured) { terminate(u, "Succeeded", 0, "Completed") })
		s.endJob(job, "Complete", "CompletionsReached")
	}
}

func images(job *object) string {
	containers, _ := nested(job.Unstructured, "spec", "template", "spec", "containers").([]any)
	var all []string
	for _, c := range containers {
		image, _ := c.(map[string]any)["image"].(string)
		all = append(all, image)
	}
	return strings.Join(all, " ")
}

func ended(job *object) bool {
	return condition(job.Unstructured, "Complete") == "True" || condition(job.Unstructured, "Failed") == "True"
}

func terminate(pod *unstructured.Unstructured, phase string, code int64, reason string) {
	pod.Object["status"] = map[string]any{"phase": phase, "containerStatuses": []any{map[string]any{"name": "job", "ready": false,
		"state": map[string]any{"terminated": map[string]any{"exitCode": code, "reason": reason}}}}}
}

// EndJob ends a Job as its controller does: kind is Complete or Failed. The pods of one that failed by its deadline are gone.
func (s *Server) EndJob(namespace, name, kind, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	job := s.find("Job", namespace, name)
	if reason == "DeadlineExceeded" {
		for _, pod := range s.owned(job, "Pod") {
			s.remove(pod)
		}
	}
	s.endJob(job, kind, reason)
}

func (s *Server) endJob(job *object, kind, reason string) {
	s.alter(job, func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": kind, "status": "True", "reason": reason, "message": "Job has " + reason}}}
	})
}
