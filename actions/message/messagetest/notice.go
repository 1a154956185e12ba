package messagetest

import (
	"time"

	"astern.dev/astern/actions"
)

// Tell gives an action the first telling of a notice; later attempts are in doubt, as after a lost answer.
func Tell(env *actions.Env) {
	env.Notice = &actions.Notice{ID: "checkout-42/test", Delivery: "checkout-42/test/1", First: true, InDoubt: env.Attempt > 1,
		SentAfter: time.Now().Add(-time.Minute), Message: Message()}
}
