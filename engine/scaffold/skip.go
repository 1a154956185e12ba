package scaffold

import "strings"

// skipped are the alerts that no release of a service is behind, by what their names begin with. The first that fits
// says why.
var skipped = []struct {
	prefix string
	whole  bool
	why    string
}{
	{"Watchdog", true, "the dead-man's switch: it has a route of its own"},
	{"DeadMansSwitch", true, "a dead-man's switch; astern listens for one that is called Watchdog"},
	{"InfoInhibitor", true, "it only inhibits other alerts"},
	{"Astern", false, "about astern itself: such alerts never match a rule"},
	{"Kube", false, infrastructure},
	{"Node", false, infrastructure},
	{"Etcd", false, infrastructure},
	{"etcd", false, infrastructure},
	{"Host", false, infrastructure},
	{"CPUThrottlingHigh", true, infrastructure},
	{"Prometheus", false, monitoring},
	{"Alertmanager", false, monitoring},
	{"Thanos", false, monitoring},
	{"Loki", false, monitoring},
	{"Grafana", false, monitoring},
	{"ConfigReloader", false, monitoring},
	{"TargetDown", true, monitoring},
}

const (
	infrastructure = "about machines or the cluster, not about a release of a service"
	monitoring     = "about the monitoring itself"
)

// skip says why an alert gets no rule; empty when it gets one.
func skip(name string) string {
	for _, s := range skipped {
		if s.whole && name == s.prefix || !s.whole && begins(name, s.prefix) {
			return s.why
		}
	}
	return ""
}

// begins: KubeJobFailed and Kube begin with Kube, Kubernetic and Nodejs do not. Names are written in words.
func begins(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return false
	}
	return rest == "" || rest[0] < 'a' || rest[0] > 'z' || prefix == "Kube" && strings.HasPrefix(rest, "let") || strings.HasPrefix(rest, "rnetes")
}
