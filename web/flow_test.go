package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// get asks as a viewer and reads the answer, which must be whole and of the kind.
func get[Out any](f *fixture, path, kind string) Out {
	a := f.as(Viewer, "GET", path, "")
	require.Equal(f.t, 200, a.StatusCode, string(a.body))
	var h Header
	require.NoError(f.t, json.Unmarshal(a.body, &h))
	require.Equal(f.t, Header{APIVersion, kind}, h)
	var out Out
	require.NoError(f.t, json.Unmarshal(a.body, &out))
	return out
}

// do tells something as a person of the role.
func (f *fixture) do(role Role, path, body string) {
	a := f.as(role, "POST", path, body)
	require.Equal(f.t, 200, a.StatusCode, string(a.body))
	var d Done
	require.NoError(f.t, json.Unmarshal(a.body, &d))
	require.Equal(f.t, header("Done"), d.Header)
	require.NotEmpty(f.t, d.Message)
}

func (f *fixture) refused(role Role, path, body string, status int) Problem {
	a := f.as(role, "POST", path, body)
	require.Equal(f.t, status, a.StatusCode, string(a.body))
	return a.problem(f.t)
}

func alertOf(name, status string) string {
	return fmt.Sprintf(`{"version":"4","status":%[2]q,"alerts":[{"status":%[2]q,"labels":{"alertname":%[1]q,"service":"api","environment":"production"},"startsAt":"2026-11-23T11:59:00Z"}]}`, name, status)
}

// withReleases tells CI's story: v1 was fine, v2 runs.
func (f *fixture) withReleases() {
	f.do(Operator, "/api/v1/releases", `{"target":"api","version":"v1","at":"2026-11-20T10:00:00Z","verdict":"good","vars":{"track":"blue"}}`)
	f.do(Operator, "/api/v1/releases", `{"target":"api","version":"v2","at":"2026-11-23T11:30:00Z","commit":"c0ffee"}`)
}

// waitFor follows an incident by long polls until it is as wished.
func (f *fixture) waitFor(id string, wished func(incident.Incident) bool) IncidentAnswer {
	for seen := 0; ; {
		a := get[IncidentAnswer](f, fmt.Sprintf("/api/v1/incidents/%s?wait=%d", id, seen), "Incident")
		if wished(a.Incident) {
			return a
		}
		require.False(f.t, a.Incident.Phase.Final(), "%s: %s", a.Incident.Phase, a.Incident.Reason)
		if f.pollFor < time.Second {
			continue // such a poll may end with nothing new
		}
		require.Greater(f.t, a.Incident.Version, seen, "%s: %s", a.Incident.Phase, a.Incident.Reason)
		seen = a.Incident.Version
	}
}

func TestAnAlertBecomesAnIncidentThatAPersonApproves(t *testing.T) {
	f := newFixture(t)
	f.do(Admin, "/api/v1/arm", `{"reason":"ready"}`)
	f.withReleases()
	require.Equal(t, 200, f.deliver(alertOf("Watchdog", "firing")).StatusCode)
	require.Equal(t, 200, f.deliver(alertOf("Asks", "firing")).StatusCode)

	open := get[List[incident.Head]](f, "/api/v1/incidents?open=true&target=api&limit=10", "IncidentList")
	require.Len(t, open.Items, 1)
	id := open.Items[0].ID
	asked := f.waitFor(id, func(i incident.Incident) bool { return i.Phase == incident.AwaitingApproval })
	hash := asked.Incident.Offer.Plan
	require.Len(t, asked.Events, asked.Incident.Version)
	for _, e := range asked.Events {
		back, err := e.Decode()
		require.NoError(t, err)
		require.Equal(t, e.Type, back.Type)
		require.Equal(t, e.Hash, back.Hash)
	}

	require.Equal(t, "conflict", f.refused(Approver, "/api/v1/incidents/"+id+"/approve", `{"plan":"ffffff"}`, 409).Code)
	f.do(Approver, "/api/v1/incidents/"+id+"/approve", `{"plan":"`+hash[:8]+`","comment":"looks right"}`)
	moved := f.waitFor(id, func(i incident.Incident) bool { return i.Phase == incident.Succeeded || i.Phase == incident.Verifying })
	require.Equal(t, incident.Done, moved.Incident.Steps[0].State)
	require.Equal(t, "sre-approver", moved.Incident.Approval.By)
	require.Equal(t, 409, f.as(Approver, "POST", "/api/v1/incidents/"+id+"/approve", `{"plan":"`+hash+`"}`).StatusCode, "an approval is used once")
	require.Equal(t, 409, f.as(Operator, "POST", "/api/v1/incidents/"+id+"/reject", `{"reason":"late"}`).StatusCode)

	lines := get[List[incident.Delivery]](f, "/api/v1/deliveries?limit=1", "DeliveryList")
	require.Len(t, lines.Items, 1)
	require.Equal(t, "am-bearer", lines.Items[0].Source)
	require.Equal(t, "opened", lines.Items[0].Decisions[0].Kind)
	require.Equal(t, id, lines.Items[0].Decisions[0].Incident)
}

func TestAPersonRejects(t *testing.T) {
	f := newFixture(t)
	f.do(Admin, "/api/v1/arm", `{}`)
	f.withReleases()
	f.deliver(alertOf("Watchdog", "firing"))
	f.deliver(alertOf("Asks", "firing"))
	id := get[List[incident.Head]](f, "/api/v1/incidents", "IncidentList").Items[0].ID
	f.waitFor(id, func(i incident.Incident) bool { return i.Phase == incident.AwaitingApproval })
	f.do(Operator, "/api/v1/incidents/"+id+"/reject", `{"reason":"known cause"}`)
	ended := f.waitFor(id, func(i incident.Incident) bool { return i.Phase.Final() })
	require.Equal(t, incident.Rejected, ended.Incident.Phase)
	require.Equal(t, "known cause", ended.Incident.Refusal.Reason)
	require.Len(t, get[List[incident.Head]](f, "/api/v1/incidents?ended=true", "IncidentList").Items, 1)
	require.Empty(t, get[List[incident.Head]](f, "/api/v1/incidents?open=true", "IncidentList").Items)
}

func TestAPersonSaysWhetherARuleWasRight(t *testing.T) {
	f := newFixture(t)
	f.do(Admin, "/api/v1/arm", `{}`)
	f.withReleases()
	f.deliver(alertOf("Watchdog", "firing"))
	f.deliver(alertOf("Asks", "firing"))
	id := get[List[incident.Head]](f, "/api/v1/incidents", "IncidentList").Items[0].ID
	f.waitFor(id, func(i incident.Incident) bool { return i.Phase == incident.AwaitingApproval })
	path := "/api/v1/incidents/" + id + "/mark"
	f.refused(Viewer, path, `{"mark":"right","reason":"r"}`, 403)
	require.Equal(t, "/mark", f.refused(Operator, path, `{"mark":"maybe","reason":"r"}`, 400).Field)
	require.Equal(t, "/reason", f.refused(Operator, path, `{"mark":"right"}`, 400).Field)
	require.Contains(t, f.refused(Operator, path, `{"mark":"right","rule":"Observes","reason":"r"}`, 422).Message, "those that would: Asks")
	f.refused(Operator, "/api/v1/incidents/none/mark", `{"mark":"right","reason":"r"}`, 404)
	f.do(Operator, "/api/v1/incidents/"+id+"/reject", `{"reason":"by hand"}`)
	f.waitFor(id, func(i incident.Incident) bool { return i.Phase.Final() })
	f.do(Operator, path, `{"mark":"wrong","reason":"a load test"}`)

	report := get[RuleList](f, "/api/v1/rules", "RuleList")
	asks := report.Items[0]
	require.Equal(t, []int{1, 0, 1}, []int{asks.Score.WouldAct, asks.Score.Right, asks.Score.Wrong})
	require.Equal(t, 0.5, asks.Demand)
	require.Contains(t, asks.NotReady, "10 labelled cases are needed")
	require.NotNil(t, report.Missed, "an empty list is a list")
	require.Equal(t, incident.RuleMark{Rule: "Asks", By: "sre-operator", Reason: "a load test", At: receipt}, get[IncidentAnswer](f, "/api/v1/incidents/"+id, "Incident").Incident.Labels[0])
}

func TestAChangeIsWaivedByWhoMayApprove(t *testing.T) {
	f := newFixture(t)
	f.refused(Operator, "/api/v1/rules/Asks/waive", `{"reason":"r"}`, 403)
	require.Equal(t, "/reason", f.refused(Approver, "/api/v1/rules/Asks/waive", `{}`, 400).Field)
	require.Contains(t, f.refused(Approver, "/api/v1/rules/Asks/waive", `{"reason":"r"}`, 409).Message, "not held back")
	f.refused(Admin, "/api/v1/rules/none/waive", `{"reason":"r"}`, 404)
}

func TestAPersonsOwnRollback(t *testing.T) {
	f := newFixture(t)
	p := f.refused(Approver, "/api/v1/rollbacks", `{"target":"api","reason":"it is broken"}`, 422)
	require.Equal(t, "refused", p.Code)
	require.Contains(t, p.Message, "release")
	f.withReleases()

	preview := get[PlanAnswer](f, "/api/v1/plan/api", "Plan")
	require.Equal(t, "v1", preview.Plan.To.Version)
	require.Equal(t, []string{"~ version: v1"}, preview.Plan.Steps[0].Change.Diff)
	require.Equal(t, "conflict", f.refused(Approver, "/api/v1/rollbacks", `{"target":"api","reason":"it is broken","plan":"ffffff"}`, 409).Code)
	require.Equal(t, 404, f.as(Approver, "POST", "/api/v1/rollbacks", `{"target":"nothing","reason":"r"}`).StatusCode)

	a := f.as(Approver, "POST", "/api/v1/rollbacks", `{"target":"api","reason":"it is broken","plan":"`+preview.Plan.Hash[:12]+`"}`, header_("User-Agent", "astern/1.0"))
	require.Equal(t, 200, a.StatusCode, string(a.body))
	var r RollbackAnswer
	require.NoError(t, json.Unmarshal(a.body, &r))
	require.Equal(t, header("Rollback"), r.Header)
	moved := f.waitFor(r.Incident, func(i incident.Incident) bool { return len(i.Steps) > 0 && i.Steps[0].State == incident.Done })
	require.Equal(t, "sre-approver", moved.Incident.Request.By)
	require.Equal(t, "it is broken", moved.Incident.Request.Reason)
}

func TestReleases(t *testing.T) {
	f := newFixture(t)
	require.Empty(t, get[List[Release]](f, "/api/v1/releases", "ReleaseList").Items)
	f.withReleases()
	for _, path := range []string{"/api/v1/releases", "/api/v1/releases?target=api"} {
		all := get[List[Release]](f, path, "ReleaseList").Items
		require.Len(t, all, 2)
		require.Equal(t, "v2", all[0].Release.Version, "newest first")
		require.True(t, all[0].Current)
		require.Equal(t, "sre-operator", all[0].Release.By)
		require.False(t, all[1].Current)
		require.Equal(t, incident.Good, all[1].Release.Verdict)
		require.Equal(t, map[string]string{"track": "blue"}, all[1].Release.Vars)
	}
	f.do(Approver, "/api/v1/releases/judge", `{"target":"api","version":"v1","verdict":"denied","reason":"CVE"}`)
	require.Equal(t, incident.Denied, get[List[Release]](f, "/api/v1/releases", "ReleaseList").Items[1].Release.Verdict)
	f.do(Approver, "/api/v1/releases/judge", `{"target":"api","version":"v1","verdict":"good"}`)
	require.Equal(t, incident.Good, get[List[Release]](f, "/api/v1/releases", "ReleaseList").Items[1].Release.Verdict)
	f.do(Operator, "/api/v1/releases", `{"target":"api","version":"v3"}`)
	require.Equal(t, receipt, get[TargetAnswer](f, "/api/v1/targets/api", "Target").Target.Current.At, "without a time it is now")

	require.Equal(t, 404, f.as(Viewer, "GET", "/api/v1/releases?target=none", "").StatusCode)
	f.refused(Operator, "/api/v1/releases", `{"target":"none","version":"v1"}`, 404)
	f.refused(Operator, "/api/v1/releases", `{"target":"api","version":"v9","at":"2027-01-01T00:00:00Z"}`, 422)
	f.refused(Approver, "/api/v1/releases/judge", `{"target":"api","version":"v9","verdict":"bad"}`, 422)
}

func TestHoldsStopsAndArming(t *testing.T) {
	f := newFixture(t)
	status := func() engine.Status { return get[StatusAnswer](f, "/api/v1/status", "Status").Status }
	require.False(t, status().Armed)
	f.do(Admin, "/api/v1/arm", `{"reason":"tried for a week"}`)
	require.True(t, status().Armed)
	require.Equal(t, "sre-admin", status().Installation.Armed.By)
	require.Equal(t, "conflict", f.refused(Admin, "/api/v1/arm", `{}`, 409).Code)
	f.do(Operator, "/api/v1/disarm", `{"reason":"audit"}`)
	require.False(t, status().Armed)

	f.do(Operator, "/api/v1/stop", `{"reason":"network work"}`)
	f.do(Operator, "/api/v1/stop", `{"scope":"target/api","reason":"api alone"}`)
	f.refused(Operator, "/api/v1/stop", `{"scope":"target/none","reason":"r"}`, 422)
	require.Equal(t, "sre-operator", status().Installation.Stops["all"].By)
	require.Contains(t, status().Installation.Stops, "target/api")
	f.do(Admin, "/api/v1/resume", `{"scope":"all"}`)
	require.NotContains(t, status().Installation.Stops, "all")
	f.refused(Admin, "/api/v1/resume", `{"scope":"all"}`, 409)
	f.refused(Admin, "/api/v1/mass-event/release", `{"reason":"seen"}`, 409)

	f.do(Operator, "/api/v1/targets/api/hold", `{"reason":"I have it","for":"90m"}`)
	held := get[TargetAnswer](f, "/api/v1/targets/api", "Target").Target.Hold
	require.Equal(t, "I have it", held.Reason)
	require.Equal(t, receipt.Add(90*time.Minute), held.Until)
	f.do(Operator, "/api/v1/targets/api/hold", `{"lift":true}`)
	require.Nil(t, get[TargetAnswer](f, "/api/v1/targets/api", "Target").Target.Hold)
	f.refused(Operator, "/api/v1/targets/none/hold", `{"reason":"r","for":"1h"}`, 404)
}

func TestWhatIsThereIsListed(t *testing.T) {
	f := newFixture(t)
	rules := get[RuleList](f, "/api/v1/rules", "RuleList").Items
	require.Len(t, rules, 2)
	require.Equal(t, incident.Approve, rules[0].Mode)
	require.Equal(t, incident.Observe, rules[1].Mode)
	targets := get[List[engine.TargetStatus]](f, "/api/v1/targets", "TargetList").Items
	require.Len(t, targets, 1)
	require.Equal(t, "core", targets[0].Owner)
	a := f.as(Viewer, "GET", "/api/v1/incidents", "")
	require.Contains(t, string(a.body), `"items":[]`, "an empty list is a list")
	for _, path := range []string{"/api/v1/targets/none", "/api/v1/incidents/none", "/api/v1/plan/none"} {
		a := f.as(Viewer, "GET", path, "")
		require.Equal(t, 404, a.StatusCode)
		require.Equal(t, "not_found", a.problem(t).Code)
	}
	f.refused(Operator, "/api/v1/incidents/none/abort", `{"reason":"r"}`, 404)
	f.refused(Approver, "/api/v1/incidents/none/settle", `{"reason":"r","step":"s","settlement":"done"}`, 404)
}

func TestMalformedAndOddNotificationsInTheLedger(t *testing.T) {
	f := newFixture(t)
	for _, c := range malformedBodies[:10] {
		f.deliver(c.body)
	}
	require.Empty(t, get[List[incident.Delivery]](f, "/api/v1/deliveries", "DeliveryList").Items, "nothing of a malformed body is stored")

	a := f.deliver(broken(`"alerts":[`, `"alerts":[{"status":"firing","labels":{"alertname":"Asks","x":"\u0000"}},`))
	require.Equal(t, 200, a.StatusCode)
	lines := get[List[incident.Delivery]](f, "/api/v1/deliveries", "DeliveryList").Items
	require.Len(t, lines, 1)
	kinds := map[string]string{}
	for _, d := range lines[0].Decisions {
		kinds[d.Kind] = d.Reason
	}
	require.Contains(t, kinds["quarantined"], "control character")
	require.Contains(t, kinds, "unmatched", "its neighbour is judged")
}

// observed is the id of an incident that stays as it is.
func (f *fixture) observed() string {
	f.withReleases()
	f.deliver(alertOf("Observes", "firing"))
	id := get[List[incident.Head]](f, "/api/v1/incidents", "IncidentList").Items[0].ID
	f.waitFor(id, func(i incident.Incident) bool { return len(i.Rules) == 1 && i.Rules[0].Judgement != nil })
	return id
}

func TestALongPollEndsWhenTheServerDrains(t *testing.T) {
	f := newFixture(t)
	f.pollFor = time.Hour
	id := f.observed()
	polled := make(chan IncidentAnswer, 1)
	go func() { polled <- get[IncidentAnswer](f, "/api/v1/incidents/"+id+"?wait=1000000", "Incident") }()
	f.Drain()
	require.Equal(t, id, (<-polled).Incident.ID, "with what is so")
}

func TestALongPollEndsByItself(t *testing.T) {
	f := newFixture(t)
	f.pollFor = time.Millisecond
	id := f.observed()
	require.Equal(t, id, get[IncidentAnswer](f, "/api/v1/incidents/"+id+"?wait=1000000", "Incident").Incident.ID)
}

func TestALongPollOutlivesTheTimeToReadARequest(t *testing.T) {
	f := newFixture(t)
	f.headerIn, f.bodyIn = 200*time.Millisecond, 200*time.Millisecond
	id := f.observed()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = f.Serve(l) }()
	defer func() { require.NoError(t, f.Shutdown(context.Background())) }()
	seen := get[IncidentAnswer](f, "/api/v1/incidents/"+id, "Incident").Incident.Version

	dial := func(send string) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		_, err = c.Write([]byte(send))
		require.NoError(t, err)
		return c
	}
	poll := dial(fmt.Sprintf("GET /api/v1/incidents/%s?wait=%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", id, seen, tokenOf(Viewer)))
	defer poll.Close()
	for range 2 { // the server hangs up on who is slow: so long has the poll waited by now
		slow := dial("GET / HTTP/1.1\r\nX-Slow: ")
		_, err := io.ReadAll(slow)
		require.NoError(t, err)
		require.NoError(t, slow.Close())
	}
	f.do(Operator, "/api/v1/incidents/"+id+"/reject", `{"reason":"known"}`)
	response, err := http.ReadResponse(bufio.NewReader(poll), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, 200, response.StatusCode)
	var a IncidentAnswer
	require.NoError(t, json.NewDecoder(response.Body).Decode(&a))
	require.Greater(t, a.Incident.Version, seen)
}

func TestReload(t *testing.T) {
	var asked int
	var wrong error
	f := newFixture(t, func(o *Options) { o.Reload = func(context.Context) error { asked++; return wrong } })
	f.do(Admin, "/-/reload", "")
	a := f.as(Admin, "PUT", "/-/reload", "")
	require.Equal(t, 200, a.StatusCode)
	wrong = errors.New("astern.yaml:3:1: unknown key")
	p := f.refused(Admin, "/-/reload", "", 422)
	require.Equal(t, "astern.yaml:3:1: unknown key", p.Message)
	require.Contains(t, p.Hint, "stays in force")
	require.Equal(t, 3, asked)
	f.refused(Approver, "/-/reload", "", 403)
	require.Equal(t, 3, asked)

	f.engine.ReloadFailed(wrong)
	ready := f.send(f.request("GET", "/-/ready", ""))
	require.Equal(t, 200, ready.StatusCode, "the last good configuration takes notifications in")
	require.Contains(t, string(ready.body), "unknown key")
}

func TestNotReadyWhenTheEngineIsNot(t *testing.T) {
	f := newFixture(t)
	f.engine.Drain()
	ready := f.send(f.request("GET", "/-/ready", ""))
	require.Equal(t, 503, ready.StatusCode)
	require.Equal(t, 503, f.deliver(good).StatusCode)
}
