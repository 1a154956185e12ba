package scaffold

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/client"
)

// What becomes of an alert's expression: `query | holds` for each condition, of a target that is chosen by app and
// namespace; or why nothing does.
func TestConfirmFromExpressions(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{`errors > 0.01`, `max by (app, namespace) (errors{app="A",namespace="N"}) | value > 0.01`},
		{`0.01 < errors`, `max by (app, namespace) (errors{app="A",namespace="N"}) | value > 0.01`},
		{`100 >= free`, `min by (app, namespace) (free{app="A",namespace="N"}) | value <= 100.0`},
		{`(errors) >= (2 ^ 3 - 1)`, `max by (app, namespace) (errors{app="A",namespace="N"}) | value >= 7.0`},
		{`errors > 14.4 * 0.001`, `max by (app, namespace) (errors{app="A",namespace="N"}) | value > 0.0144`},
		{`errors > -1`, `max by (app, namespace) (errors{app="A",namespace="N"}) | value > -1.0`},
		{`errors > 1e9`, `max by (app, namespace) (errors{app="A",namespace="N"}) | value > 1e+09`},
		{`errors{app="x"} > 1`, `max by (app, namespace) (errors{app="A",app="x",namespace="N"}) | value > 1.0`},
		{`sum by (app, namespace) (rate(e[5m])) > 1`, `sum by (app, namespace) (rate(e{app="A",namespace="N"}[5m])) | value > 1.0`},
		{`sum by (app) (rate(e[5m])) == 1`, `sum by (app) (rate(e{app="A",namespace="N"}[5m])) | value == 1.0`},
		{`sum by (app, code) (e) > 1`, `max by (app, namespace) (sum by (app, code) (e{app="A",namespace="N"})) | value > 1.0`},
		{`sum without (pod) (e) > 1`, `max by (app, namespace) (sum without (pod) (e{app="A",namespace="N"})) | value > 1.0`},
		{`topk(1, e) > 1`, `max by (app, namespace) (topk(1, e{app="A",namespace="N"})) | value > 1.0`},
		{`sum by (app) (a) / sum by (app) (b) > 0.5 and sum by (app) (b) > 10`,
			`sum by (app) (a{app="A",namespace="N"}) / sum by (app) (b{app="A",namespace="N"}) | value > 0.5; sum by (app) (b{app="A",namespace="N"}) | value > 10.0`},
		{`sum by (app) (a) / on (app) group_left () sum by (app) (b) > 1`, `sum by (app) (a{app="A",namespace="N"}) / on (app) group_left () sum by (app) (b{app="A",namespace="N"}) | value > 1.0`},
		{`histogram_quantile(0.9, sum by (app, le) (rate(b[5m]))) > 1`, `histogram_quantile(0.9, sum by (app, le) (rate(b{app="A",namespace="N"}[5m]))) | value > 1.0`},
		{`100 * (1 - sum by (app) (up)) > 1`, `100 * (1 - sum by (app) (up{app="A",namespace="N"})) | value > 1.0`},
		{`5 < e < 9`, `max by (app, namespace) (e{app="A",namespace="N"}) | value > 5.0; min by (app, namespace) (e{app="A",namespace="N"}) | value < 9.0`},
		{`{"a b", path="${x}"} > 1`, `max by (app, namespace) ({__name__="a b",app="A",namespace="N",path="$${x}"}) | value > 1.0`},

		{`up == 0`, `its expression has several series for a target, and compares for equality`},
		{`a > b`, `its expression compares two series`},
		{`a unless b > 1`, "its expression joins conditions with `unless`"},
		{`a > 1 or b > 1`, "its expression joins conditions with `or`"},
		{`a > 1 and b`, `its expression compares nothing with a number`},
		{`a > bool 1`, `its expression compares nothing with a number`},
		{`a`, `its expression compares nothing with a number`},
		{`vector(1)`, `its expression compares nothing with a number`},
		{`a > +Inf`, `its expression compares with no plain number`},
		{`a > 0 / 0`, `its expression compares with no plain number`},
		{`time() > 5`, `its expression cannot be read here`}, // nor by Prometheus
		{`absent(a) > 0`, `its expression asks for what is absent: a broken scrape would confirm it`},
		{`(a or vector(0)) > 1`, "its expression answers `or vector(…)` where there is no data"},
		{`a offset 1h > 1`, `its expression asks about another time than now`},
		{`a @ 5 > 1`, `its expression asks about another time than now`},
		{`max_over_time(a[5m:1m] offset 1m) > 1`, `its expression asks about another time than now`},
		{`astern_stands_here_0_ > 1`, `its expression cannot be restricted to one target`},
		{`sum(`, `its expression cannot be read here`},
	} {
		f := &Found{heard: map[string][]map[string]string{"X": {{"app": "v", "namespace": "v"}, {"app": "v", "namespace": "w"}, {"app": "u", "namespace": "u"}}}}
		f.sort([]client.AlertRule{{Name: "X", Query: c.expr}}, nil)
		d := f.Draft("app", "")
		require.Len(t, d.Rules, 1)
		r := d.Rules[0]
		got := r.WhyNot
		for i, q := range r.Confirm {
			if i > 0 {
				got += "; "
			}
			got += q.Text + " | " + q.Holds
		}
		got = strings.NewReplacer("${target.vars.app}", "A", "${target.vars.namespace}", "N").Replace(got)
		require.Equal(t, c.want, got, c.expr)
	}
}

func TestSkippedNames(t *testing.T) {
	for name, skipped := range map[string]bool{
		"Watchdog": true, "InfoInhibitor": true, "KubePodCrashLooping": true, "KubeletDown": true, "KubernetesJobFailed": true, "NodeFilesystemFull": true, "Kube": true,
		"AsternDown": true, "PrometheusBadConfig": true, "TargetDown": true, "etcdNoLeader": true, "HostOutOfMemory": true, "Node_disk": true,
		"NodejsEventLoopLag": false, "CheckoutErrors": false, "Hostess": false, "WatchdogOfMine": false, "Kubernetic": false, "": false,
	} {
		require.Equal(t, skipped, skip(name) != "", name)
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string]string{"a": "a", "staging one": "staging-one", "é": "unnamed", "../../etc": "etc", "a/b": "a-b", "": "unnamed", "-": "unnamed", "1.2": "1.2"} {
		require.Equal(t, want, asName(text), text)
	}
	for text, want := range map[string]string{"A": "A", "5xx": "Alert_5xx", "": "Alert_", "a b": "a_b", "_x": "Alert__x"} {
		require.Equal(t, want, asRuleName(text), text)
	}
	for text, want := range map[string]string{"service": "service", "App": "app", "k8s.io/name": "k8s_io_name", "0": "label", "_a": "a"} {
		require.Equal(t, want, asVar(text), text)
	}
}

// The labels of a target: the one that most alerts carry, and those that tell two of one name apart.
func TestChosenLabels(t *testing.T) {
	alert := func(labels ...string) map[string]string {
		all := map[string]string{}
		for _, l := range labels {
			name, value, _ := strings.Cut(l, "=")
			all[name] = value
		}
		return all
	}
	for _, c := range []struct {
		heard  map[string][]map[string]string
		labels string
		names  string
	}{
		{map[string][]map[string]string{"A": {alert("service=a")}, "B": {alert("service=b", "job=j")}}, "service", "a b"},
		{map[string][]map[string]string{"A": {alert("app=a", "job=x")}, "B": {alert("app=b")}, "C": {alert("service=c")}}, "app", "a b"},
		{map[string][]map[string]string{"A": {alert("service=a", "app=z")}}, "service", "a"},
		{map[string][]map[string]string{"A": {alert("service=a", "env=e")}, "B": {alert("service=b", "env=e")}, "C": {alert("service=c")}}, "service,env", "a b"},
		{map[string][]map[string]string{"A": {alert("service=a", "env=e")}, "B": {alert("service=b")}, "C": {alert("service=c")}}, "service", "a b c"},
		{map[string][]map[string]string{"A": {alert("service=a", "env=e"), alert("service=a", "env=f")}}, "service,env", "a-e a-f"},
		{map[string][]map[string]string{"A": {alert("service=a", "namespace=n"), alert("service=b", "namespace=m")}}, "service", "a b"},
		{map[string][]map[string]string{"A": {alert("service=a", "namespace=n"), alert("service=a", "namespace=m")}}, "service,namespace", "a-m a-n"},
		{map[string][]map[string]string{"A": {alert("service=a b"), alert("service=a-b")}}, "service", "a-b a-b-2"},
		{map[string][]map[string]string{"A": {alert("instance=i")}}, "", ""},
		{map[string][]map[string]string{"KubeX": {alert("service=kube-state-metrics")}}, "", ""},
	} {
		f := &Found{heard: c.heard}
		f.sort(nil, sortedKeys(c.heard))
		target := f.SuggestTarget()
		d := f.Draft(target, f.SuggestEnvironment(target))
		var names []string
		for _, t := range d.Targets {
			names = append(names, t.Name)
		}
		require.Equal(t, c.labels, strings.Join(d.Labels(), ","), "%v", c.heard)
		require.Equal(t, c.names, strings.Join(names, " "), "%v", c.heard)
	}
}

func TestTimeoutNeedsANewAlertmanager(t *testing.T) {
	for version, takes := range map[string]bool{"0.28.0": true, "0.31.1": true, "v0.27.0": false, "0.9.1": false, "1.0.0": true, "": true, "dev": true} {
		require.Equal(t, takes, (&Routing{Version: version}).takesTimeout(), version)
	}
}

// A label that Prometheus, or the rule, adds to the alert is on none of the series: a query must not ask for it.
func TestAddedLabelsAreNotAskedFor(t *testing.T) {
	f := &Found{External: map[string]string{"environment": "e"}, heard: map[string][]map[string]string{"X": {{"service": "a", "environment": "e", "app": "b"}}}}
	f.sort([]client.AlertRule{{Name: "X", Query: "sum by (app) (errors) > 1", Labels: map[string]string{"service": "a"}}}, nil)
	require.Equal(t, "max(sum by (app) (errors))", f.Draft("service", "environment").Rules[0].Confirm[0].Text)
	require.Equal(t, `sum by (app) (errors{app="${target.name}"})`, f.Draft("app", "environment").Rules[0].Confirm[0].Text)
}

func TestUnusableValues(t *testing.T) {
	for value, is := range map[string]bool{"a": false, "é 😀": false, strings.Repeat("x", 1024): false, strings.Repeat("x", 1025): true, "a\nb": true, "\x00": true, "\x7f": true, "${x}": true, "$x": false} {
		require.Equal(t, is, unusable(value), "%q", value)
	}
}
