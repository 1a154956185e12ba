// Package kubernetes acts on what runs in a cluster: it switches a Service to another colour, drains what was left, runs a
// smoke test as a Job, halts and undoes rollouts, and quarantines a bad version. It stands on actions/cluster.
package kubernetes

import "astern.dev/astern/actions"

// Family brings the actions of Kubernetes; the connection kind "kubernetes" is brought by actions/cluster.
func Family() actions.Family {
	return actions.Family{Actions: []actions.Entry{
		{New: func() actions.Action { return &Job{} }, Example: jobExample},
		{New: func() actions.Action { return &Drain{} }, Example: drainExample},
		{New: func() actions.Action { return &ServiceSelector{} }, Example: selectorExample},
		{New: func() actions.Action { return &Halt{} }, Example: haltExample},
		{New: func() actions.Action { return &Undo{} }, Example: undoExample},
		{New: func() actions.Action { return &RolloutWait{} }, Example: rolloutWaitExample},
		{New: func() actions.Action { return &Quarantine{} }, Example: quarantineExample},
	}}
}
