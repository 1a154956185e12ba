package web

import "net/http"

// route is one thing a caller can do. The table of routes is what the server serves, what authorisation is tested
// against, and what the API document is made from.
type route struct {
	method, path string // {name} in a path stands for one segment
	role         Role
	does         string // one sentence for the API document
	query        []parameter
	endpoint
}

// parameter is one member of a query string.
type parameter struct{ name, does string }

// routes is every route there is. Nothing is changed by GET.
func (s *Server) routes() []route {
	waiting := []parameter{{"wait", "answer as soon as the incident's version is above this one, or after 30 s"}}
	filter := []parameter{{"target", "of this target alone"}, {"open", "true: not ended"}, {"ended", "true: ended"}, {"limit", "at most this many; 100 when absent"}}
	return []route{
		{"POST", "/api/v1/alertmanager", Sender, "Takes a notification of Alertmanager in. 2xx means that it is durable.", nil, notification(s.door.serve)},

		{"GET", "/api/v1/incidents", Viewer, "Lists incidents, newest first.", filter, ask(s.incidents)},
		{"GET", "/api/v1/incidents/{id}", Viewer, "Shows one incident with its history.", waiting, ask(s.incident)},
		{"POST", "/api/v1/incidents/{id}/approve", Approver, "Says yes to exactly one plan.", nil, tell(s.approve)},
		{"POST", "/api/v1/incidents/{id}/reject", Operator, "Says no to the open plan.", nil, tell(s.reject)},
		{"POST", "/api/v1/incidents/{id}/abort", Operator, "Stops the procedure before its next step.", nil, tell(s.abort)},
		{"POST", "/api/v1/incidents/{id}/settle", Approver, "Says whether the effect of a step in doubt is there.", nil, tell(s.settle)},
		{"POST", "/api/v1/incidents/{id}/mark", Operator, "Says whether a rule was right to want to act, also after the incident's end.", nil, tell(s.mark)},

		{"GET", "/api/v1/plan/{target}", Viewer, "Shows what a rollback would do now; it changes nothing.", nil, ask(s.plan)},
		{"POST", "/api/v1/rollbacks", Approver, "Rolls a target back because a person says so.", nil, tell(s.rollback)},

		{"GET", "/api/v1/targets", Viewer, "Lists the targets.", nil, ask(s.targets)},
		{"GET", "/api/v1/targets/{name}", Viewer, "Shows one target.", nil, ask(s.target)},
		{"POST", "/api/v1/targets/{name}/hold", Operator, "Keeps automation away from a target for a time, or ends that.", nil, tell(s.hold)},
		{"GET", "/api/v1/releases", Viewer, "Lists the releases that were told, newest first.", []parameter{{"target", "of this target alone"}}, ask(s.releases)},
		{"POST", "/api/v1/releases", Operator, "Records what was deployed when.", nil, tell(s.recordRelease)},
		{"POST", "/api/v1/releases/begin", Operator, "Tells that a rollout begins.", nil, tell(s.beginRelease)},
		{"GET", "/api/v1/releases/allowed", Viewer, "Says whether a release may be rolled out: it is neither bad nor denied, by its version or by its digest.",
			[]parameter{{"target", "the target"}, {"version", "the version"}, {"digest", "the digest of its image"}}, ask(s.releaseAllowed)},
		{"POST", "/api/v1/releases/judge", Approver, "Changes the verdict on a version.", nil, tell(s.judgeRelease)},

		{"POST", "/api/v1/stop", Operator, "Stops automation for all, a team or a target.", nil, tell(s.stop)},
		{"POST", "/api/v1/resume", Admin, "Ends a stop of the same scope.", nil, tell(s.resume)},
		{"POST", "/api/v1/mass-event/release", Admin, "Lets the incidents go on that a mass event held.", nil, tell(s.releaseMassEvent)},
		{"POST", "/api/v1/arm", Admin, "Lets automation act.", nil, tell(s.arm)},
		{"POST", "/api/v1/disarm", Operator, "Makes automation judge without acting.", nil, tell(s.disarm)},

		{"GET", "/api/v1/rules", Viewer, "Lists the rules in force, with what the last 30 days say of them.", nil, ask(s.rules)},
		{"POST", "/api/v1/rules/{name}/waive", Approver, "Lets a changed rule act at once, instead of only suggesting for a day.", nil, tell(s.waiveRule)},
		{"POST", "/api/v1/rules/{name}/reset", Approver, "Lets a rule act again on a target where it flapped.", nil, tell(s.resetFlapping)},
		{"GET", "/api/v1/deliveries", Viewer, "Lists the notifications taken in and what each alert came to, newest first.", []parameter{{"limit", "at most this many; 100 when absent"}}, ask(s.deliveries)},
		{"POST", "/api/v1/explain", Viewer, "Says why something happened to an alert, or why nothing did; it changes nothing.", nil, inquire(s.explain)},
		{"GET", "/api/v1/status", Viewer, "Shows the installation as a whole.", nil, ask(s.status)},
		{"GET", "/api/v1/openapi.json", Public, "This document.", nil, page(s.document)},

		{"GET", "/metrics", Public, "Metrics for Prometheus.", nil, page(s.scrape.ServeHTTP)},
		{"GET", "/-/healthy", Public, "Says that the process answers.", nil, page(healthy)},
		{"GET", "/-/ready", Public, "Says whether notifications can be taken in.", nil, page(s.ready)},
		{"POST", "/-/reload", Admin, "Reads the configuration again; a mistake leaves the last good one in force.", nil, tell(s.reload)},
		{"PUT", "/-/reload", Admin, "The same.", nil, tell(s.reload)},
		{"GET", "/", Public, "Says where the API and the command are.", nil, page(front)},
	}
}

func front(w http.ResponseWriter, _ *http.Request) {
	text(w, http.StatusOK, "astern\n\nAPI:      /api/v1/openapi.json\nCommand:  astern --server URL --token-file FILE incidents\nMetrics:  /metrics\n")
}

func healthy(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "astern is healthy\n") }

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}
