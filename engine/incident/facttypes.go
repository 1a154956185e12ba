package incident

// Every fact's name in stored histories. A name is never used again for another meaning.

var factTypes = map[string]func([]byte) (Fact, error){
	"Opened":           decode[Opened],
	"AlertsSeen":       decode[AlertsSeen],
	"AlertsEnded":      decode[AlertsEnded],
	"Requested":        decode[Requested],
	"Reconfigured":     decode[Reconfigured],
	"Judged":           decode[Judged],
	"Approved":         decode[Approved],
	"Declined":         decode[Declined],
	"Aborted":          decode[Aborted],
	"StepBegan":        decode[StepBegan],
	"StepSucceeded":    decode[StepSucceeded],
	"StepDidNotHappen": decode[StepDidNotHappen],
	"StepErred":        decode[StepErred],
	"StepDoubted":      decode[StepDoubted],
	"StepSettled":      decode[StepSettled],
	"StepHeld":         decode[StepHeld],
	"StepRepaired":     decode[StepRepaired],
	"Marked":           decode[Marked],
	"HealthSeen":       decode[HealthSeen],
	"Ended":            decode[Ended],
	"NoticesOwed":      decode[NoticesOwed],
	"NoticeBegan":      decode[NoticeBegan],
	"NoticeTold":       decode[NoticeTold],
	"NoticeErred":      decode[NoticeErred],
	"NoticeOverdue":    decode[NoticeOverdue],
	"ReleaseRecorded":  decode[ReleaseRecorded],
	"RolloutBegan":     decode[RolloutBegan],
	"ReleaseSeen":      decode[ReleaseSeen],
	"WorkloadSeen":     decode[WorkloadSeen],
	"ReleaseJudged":    decode[ReleaseJudged],
	"RolledBack":       decode[RolledBack],
	"HoldSet":          decode[HoldSet],
	"HoldLifted":       decode[HoldLifted],
	"Flapped":          decode[Flapped],
	"FlappingReset":    decode[FlappingReset],
	"Founded":          decode[Founded],
	"Armed":            decode[Armed],
	"Disarmed":         decode[Disarmed],
	"Stopped":          decode[Stopped],
	"Resumed":          decode[Resumed],
	"MassEvent":        decode[MassEvent],
	"MassReleased":     decode[MassReleased],
	"WouldActMarked":   decode[WouldActMarked],
	"RulesLoaded":      decode[RulesLoaded],
	"RuleWaived":       decode[RuleWaived],
	"RulesErred":       decode[RulesErred],
}

func (Opened) factType() string           { return "Opened" }
func (AlertsSeen) factType() string       { return "AlertsSeen" }
func (AlertsEnded) factType() string      { return "AlertsEnded" }
func (Requested) factType() string        { return "Requested" }
func (Reconfigured) factType() string     { return "Reconfigured" }
func (Judged) factType() string           { return "Judged" }
func (Approved) factType() string         { return "Approved" }
func (Declined) factType() string         { return "Declined" }
func (Aborted) factType() string          { return "Aborted" }
func (StepBegan) factType() string        { return "StepBegan" }
func (StepSucceeded) factType() string    { return "StepSucceeded" }
func (StepDidNotHappen) factType() string { return "StepDidNotHappen" }
func (StepErred) factType() string        { return "StepErred" }
func (StepDoubted) factType() string      { return "StepDoubted" }
func (StepSettled) factType() string      { return "StepSettled" }
func (StepHeld) factType() string         { return "StepHeld" }
func (StepRepaired) factType() string     { return "StepRepaired" }
func (Marked) factType() string           { return "Marked" }
func (HealthSeen) factType() string       { return "HealthSeen" }
func (Ended) factType() string            { return "Ended" }
func (NoticesOwed) factType() string      { return "NoticesOwed" }
func (NoticeBegan) factType() string      { return "NoticeBegan" }
func (NoticeTold) factType() string       { return "NoticeTold" }
func (NoticeErred) factType() string      { return "NoticeErred" }
func (NoticeOverdue) factType() string    { return "NoticeOverdue" }
func (ReleaseRecorded) factType() string  { return "ReleaseRecorded" }
func (RolloutBegan) factType() string     { return "RolloutBegan" }
func (ReleaseSeen) factType() string      { return "ReleaseSeen" }
func (WorkloadSeen) factType() string     { return "WorkloadSeen" }
func (ReleaseJudged) factType() string    { return "ReleaseJudged" }
func (RolledBack) factType() string       { return "RolledBack" }
func (HoldSet) factType() string          { return "HoldSet" }
func (HoldLifted) factType() string       { return "HoldLifted" }
func (Founded) factType() string          { return "Founded" }
func (Armed) factType() string            { return "Armed" }
func (Disarmed) factType() string         { return "Disarmed" }
func (Stopped) factType() string          { return "Stopped" }
func (Resumed) factType() string          { return "Resumed" }
func (MassReleased) factType() string     { return "MassReleased" }
func (MassEvent) factType() string        { return "MassEvent" }
func (WouldActMarked) factType() string   { return "WouldActMarked" }
func (RulesLoaded) factType() string      { return "RulesLoaded" }
func (RuleWaived) factType() string       { return "RuleWaived" }
func (RulesErred) factType() string       { return "RulesErred" }
