// Package all is the list of every action and kind of connection that astern ships. Only cmd/astern, the documentation's
// generator and tests import it.
package all

import (
	"astern.dev/astern/actions"
	"astern.dev/astern/actions/argocd"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/exec"
	"astern.dev/astern/actions/flux"
	"astern.dev/astern/actions/git"
	"astern.dev/astern/actions/haproxy"
	"astern.dev/astern/actions/http"
	"astern.dev/astern/actions/kubernetes"
	"astern.dev/astern/actions/manifest"
	"astern.dev/astern/actions/pagerduty"
	"astern.dev/astern/actions/prometheus"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/slack"
	"astern.dev/astern/actions/wait"
	"astern.dev/astern/actions/webhook"
)

// Registry gathers them.
func Registry() (*actions.Registry, error) {
	return actions.NewRegistry(
		client.AlertmanagerFamily,
		argocd.Family(),
		cluster.Family(),
		exec.Family(),
		flux.Family(),
		git.Family(),
		haproxy.Family(),
		http.Family(),
		kubernetes.Family(),
		manifest.Family(),
		pagerduty.Family(),
		prometheus.Family(),
		repository.Family(),
		slack.Family(),
		wait.Family(),
		webhook.Family(),
	)
}
