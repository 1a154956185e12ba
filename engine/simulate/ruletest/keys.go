package ruletest

import (
	"maps"
	"slices"

	"astern.dev/astern/engine/incident"
)

// The keys of a rule-test file. `at`, `from` and `until` count from the start of the test.

func texts(name, says string) key          { return key{name: name, shape: text{}, says: says} }
func moments(name, says string) key        { return key{name: name, shape: offset{}, says: says} }
func lengths(name, says string) key        { return key{name: name, shape: length{}, says: says} }
func truths(name, says string) key         { return key{name: name, shape: truth{}, says: says} }
func lists(name, says string, o shape) key { return key{name: name, shape: listOf{o}, says: says} }

func (k key) needed() key { k.need = true; return k }

func labelKey(says string) key {
	return key{name: "labels", shape: mapOf{text{}}, says: says}
}

var sources = object{
	lists("rule_files", "rule files; patterns, relative to this file", text{}),
	lists("target_files", "target files", text{}),
	lists("procedure_files", "procedure files", text{}),
	lists("communication_files", "communication files", text{}),
	texts("config_file", "an astern.yaml: its modes, guards and teams hold, and its files where none of a kind are named here; without one the ceiling is auto"),
}

var timing = object{
	lists("group_by", "the labels that make a group; alertname without it", text{}),
	lengths("group_wait", "how long Alertmanager gathers a new group"),
	lengths("group_interval", "how long it waits before it tells what is new in a group"),
	lengths("repeat_interval", "how often it repeats what still fires"),
}

func fileKeys() object {
	return append(slices.Clone(sources),
		lists("prometheus_rule_files", "rule files of Prometheus: the series alone then drive the alerts", text{}),
		lengths("interval", "the distance between the values of a series"),
		key{name: "alertmanager", shape: timing, says: "how the alerts of prometheus_rule_files are grouped and repeated; without it each change is delivered at once"},
		key{name: "tests", shape: later{listOf{testKeys()}}, says: "the tests"}.needed(),
	)
}

var (
	span = object{moments("from", "when it begins; the start of the test without it"), moments("until", "when it ends; the end of the test without it")}

	release = object{
		texts("target", "the target it is a release of; the only one without it"),
		texts("version", "its name").needed(),
		moments("at", "when its rollout ended; before the test when it begins with -").needed(),
		truths("rolling", "its rollout only began then, and goes on until the same version stands again"),
		{name: "verdict", shape: word{"unknown", "good", "bad", "denied"}, says: "what is known of it"},
		texts("commit", "its commit"), texts("digest", "its digest"), texts("schema", "its schema"),
		{name: "vars", shape: mapOf{text{}}, says: "what CI told of it"},
	}

	series = object{
		texts("series", "its name and labels, as in promtool's tests").needed(),
		texts("values", "its values, one each interval, as in promtool's tests: 0.03x9 0x50").needed(),
	}

	alert = object{
		moments("at", "when it begins to fire").needed(),
		moments("until", "when it is resolved; never without it"),
		{name: "status", shape: word{"firing", "resolved"}, says: "what is told of it; resolved alone is an end without a beginning"},
		labelKey("its labels").needed(),
		{name: "annotations", shape: mapOf{text{}}, says: "its annotations"},
		moments("starts_at", "its startsAt, when that is not `at`"),
		lengths("repeat_every", "how often it is delivered while it fires; once without it"),
		moments("deliver_at", "when its first delivery arrives, when that is later than `at`"),
		{name: "peers", shape: count{}, says: "how many peers of Alertmanager deliver each notification"},
		{name: "copies", shape: count{}, says: "how many alerts it stands for, in one notification; each has its number as the label copy"},
		{name: "truncated", shape: count{}, says: "how many alerts the sender cut off its notifications"},
		truths("listed", "whether Alertmanager's list shows it; true without a word"),
		texts("quarantine", "why the door set it aside"),
		texts("note", "what the door corrected"),
		texts("source", "the sender; the first of the configuration, or alertmanager"),
	}

	delivered = object{
		{name: "status", shape: word{"firing", "resolved"}, says: "firing without a word"},
		labelKey("its labels").needed(),
		{name: "annotations", shape: mapOf{text{}}, says: "its annotations"},
		moments("starts_at", "its startsAt"), moments("ends_at", "its endsAt"),
		texts("quarantine", "why the door set it aside"), texts("note", "what the door corrected"),
	}

	delivery = object{
		moments("at", "when it arrives").needed(),
		lists("alerts", "what it carries", delivered).needed(),
		{name: "truncated", shape: count{}, says: "how many alerts the sender cut off"},
		{name: "peers", shape: count{}, says: "how many peers deliver it"},
		texts("source", "the sender"),
	}

	muting = append(slices.Clone(span), labelKey("the labels of the alerts it covers").needed())

	stepSays = object{
		lengths("takes", "how long it runs"),
		{name: "fails", shape: countOrWord("always"), says: "how many attempts fail before one succeeds"},
		texts("error", "what a failed attempt says"),
		truths("permanent", "no further attempt is made"),
		truths("doubtful", "nobody knows whether it took effect"),
		{name: "outputs", shape: mapOf{free{}}, says: "what later steps may read of it"},
		{name: "verify", shape: word{"done", "not_done", "unknown"}, says: "what a look at the world says of it after a crash or a lost answer; the truth without a word"},
	}

	channelSays = object{
		{name: "fails", shape: countOrWord("always"), says: "how many tellings fail before one arrives"},
		texts("error", "what a failed telling says"),
		truths("permanent", "no further attempt is made"),
		moments("from", "when the failing begins"), moments("until", "when it ends"),
	}
)

// said are the keys of everything that people do.
func said(more ...key) object {
	return append(object{
		moments("at", "when").needed(), texts("by", "who"), texts("reason", "why"),
		texts("refused", "it is refused, with these words in the answer; without it a refusal fails the test"),
	}, more...)
}

var ofTarget = texts("target", "which target; the only one without it")

// wishes are what people do, by the key of the list.
var wishes = map[string]object{
	"approvals":     said(ofTarget, key{name: "plan", shape: word{"latest", "stale"}, says: "the plan on offer, or one that is not; latest without a word"}),
	"rejects":       said(ofTarget),
	"aborts":        said(ofTarget),
	"settles":       said(ofTarget, texts("step", "the step in doubt").needed(), key{name: "effect", shape: word{"done", "repeat"}, says: "its effect is there, or it must run again", need: true}),
	"rollbacks":     said(ofTarget),
	"holds":         said(ofTarget, lengths("for", "how long; 0s lifts the hold").needed()),
	"stops":         said(texts("scope", "all, team/NAME or target/NAME; all without it")),
	"resumes":       said(texts("scope", "all, team/NAME or target/NAME; all without it")),
	"waivers":       said(key{name: "rule", shape: text{}, says: "the changed rule that may act at once", need: true}),
	"marks":         said(ofTarget, texts("rule", "the rule that would have acted; the only one without it"), key{name: "right", shape: truth{}, says: "whether it was right to", need: true}),
	"mass_releases": said(),
	"arms":          said(),
	"disarms":       said(),
	"verdicts": said(ofTarget, texts("version", "of which release").needed(),
		key{name: "verdict", shape: word{"unknown", "good", "bad", "denied"}, says: "what is known of it from then on", need: true}),
}

// wishesSay are the sentences of those lists.
var wishesSay = map[string]string{
	"approvals": "who says yes to a plan", "rejects": "who says no to a plan", "aborts": "who ends an incident before its next step",
	"settles": "who says what became of a step in doubt", "rollbacks": "who asks for a rollback", "holds": "who holds a target, or lifts the hold",
	"stops": "who stops automation", "resumes": "who lets it go on", "waivers": "who waives the day that a changed rule only suggests",
	"marks": "who says whether a rule was right", "mass_releases": "who lets incidents of a mass event go on", "arms": "who arms the installation",
	"disarms": "who disarms it", "verdicts": "who judges a release",
}

func wishNames() []string { return slices.Sorted(maps.Keys(wishes)) }

// verdicts and kinds are what a decision may be: a judgement's verdict, or what the ledger says of an alert.
var (
	verdicts = []string{"go", "ask", "hold", "wait", "tell", "watch", "stop"}
	kinds    = []string{"opened", "joined", "repeated", "ended", "late", "unmatched", "no_target", "quarantined", "watchdog", "own"}
)

func phaseNames() []string {
	names := make([]string, len(incident.Phases))
	for i, p := range incident.Phases {
		names[i] = string(p)
	}
	return names
}

func modeNames() []string {
	names := make([]string, len(incident.Modes))
	for i, m := range incident.Modes {
		names[i] = string(m)
	}
	return names
}

var notice = object{
	texts("to", "to whom").needed(), texts("via", "by which channel"),
	truths("told", "whether it has arrived"),
	moments("by", "it arrived by then"), lengths("within", "it arrived within this time after it was owed"),
	moments("due", "when it is due"), truths("overdue", "whether it is overdue"),
	{name: "times", shape: count{}, says: "how often something arrived"},
}

func expectationKeys() object {
	return object{
		moments("at", "the moment, after all that is due then is done"),
		moments("from", "the first moment of a span; it holds at each change in it"), moments("until", "the last moment of a span"),
		texts("target", "of which target; the only one without it"), texts("incident", "of which incident; the target's newest without it"),
		key{name: "phase", shape: wordOrWords(phaseNames()), says: "the incident's phase, or one of these"},
		key{name: "decision", shape: word(append(slices.Clone(verdicts), kinds...)), says: "the verdict of the rule, or what became of the last delivery's alerts"},
		key{name: "would", shape: word(verdicts), says: "what a rule in observe or suggest would have come to"},
		texts("alert", "the alert that a decision is about, by its alertname"),
		texts("reason", "words in the reason"), texts("reason_matches", "a regular expression that the reason meets"),
		texts("rule", "the rule whose judgement is meant; it has joined the incident"), texts("lead", "the rule that leads"),
		texts("plan", "the procedure of the plan"), texts("to", "the version the plan goes to"), texts("leaves", "the version the plan leaves"),
		key{name: "mode", shape: word(modeNames()), says: "the mode that holds for the rule"},
		texts("guard", "a guard that does not pass"),
		lists("steps", "the steps done so far, in order", text{}),
		truths("no_new_plan", "no further plan is taken up, offered or suggested"),
		truths("no_incident", "no incident is opened"),
		key{name: "incidents", shape: count{}, says: "how many incidents there have been"},
		lists("notices", "what people have been told", notice),
	}
}

func testKeys() object {
	o := object{
		texts("name", "what it shows").needed(),
		key{name: "start", shape: moment{}, says: "the moment it begins; 2026-01-05T12:00:00Z without it"},
		truths("armed", "whether the installation is armed; true without a word"),
		key{name: "ceiling", shape: word(modeNames()), says: "how far any rule may go, in place of the configuration's modes"},
		lists("releases", "the releases, in any order", release),
		lists("input_series", "what Prometheus holds", series),
		lists("alerts", "alerts from the beginning to the end: shown in Alertmanager's list, and delivered", alert),
		lists("deliveries", "single deliveries as they arrive: late, in the wrong order, twice", delivery),
		lists("lose", "when no delivery arrives; Alertmanager's list still shows the alerts", span),
		lists("silences", "silences", muting), lists("inhibits", "inhibitions", muting),
		lists("touches", "when somebody else changes a target", object{moments("at", "when").needed(), ofTarget}),
		lists("restart_at", "when astern is killed and started again", offset{}),
		lists("reloads", "reloads: files named here take the place of those before", append(object{moments("at", "when").needed()}, sources...)),
		lists("clock_jumps", "when the wall clock jumps, and by how much", object{moments("at", "when").needed(), {name: "by", shape: offset{}, need: true, says: "how far; back when it begins with -"}}),
		lists("prometheus_down", "when Prometheus answers nothing", span),
		lists("alertmanager_down", "when Alertmanager's API answers nothing", span),
		lists("watchdog_dead", "when the Watchdog is not delivered", span),
		key{name: "steps", shape: mapOf{stepSays}, says: "what the steps of the procedures come to, by name; each succeeds at once without it"},
		key{name: "channels", shape: mapOf{channelSays}, says: "what tellings come to, by channel; each arrives at once without it"},
		lists("expect", "what must be so", expectationKeys()).needed(),
	}
	for _, name := range wishNames() {
		o = append(o, lists(name, wishesSay[name], wishes[name]))
	}
	return o
}
