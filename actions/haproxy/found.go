package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// digest names a set of facts, whatever their order.
func digest(facts []string) string {
	slices.Sort(facts)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(facts), "\n")))
	return hex.EncodeToString(sum[:])
}

// found covers which servers each process has and where they are, the weights that stay, and the weights to be left.
//
// A step that was cut in the middle must find itself again, or it could never be finished: so of the listed servers only
// the one written last counts, in the processes that are not done yet. Its weight stays what it was until a process is done.
func (w *Weights) found(views []view) string {
	last := w.Weights[len(w.Weights)-1].Server
	var facts []string
	for _, v := range views {
		for _, s := range v.servers {
			facts = append(facts, fmt.Sprintf("%s has %s/%s at %s", v.socket, w.Backend, s.name, s.address))
			if !slices.ContainsFunc(w.Weights, func(to ServerWeight) bool { return to.Server == s.name }) {
				facts = append(facts, fmt.Sprintf("%s keeps %s/%s at weight %d", v.socket, w.Backend, s.name, s.weight))
			}
		}
		if s, known := v.server(last); known && !w.whole(v) {
			facts = append(facts, fmt.Sprintf("%s/%s is to leave weight %d", w.Backend, last, s.weight))
		}
	}
	return digest(facts)
}

// found covers which servers each process has and where they are. Weights and states are left out: an earlier step of the
// same plan and the drain itself change them.
func (d *Drain) found(views []view) string {
	var facts []string
	for _, v := range views {
		for _, s := range v.servers {
			facts = append(facts, fmt.Sprintf("%s has %s/%s at %s", v.socket, d.Backend, s.name, s.address))
		}
	}
	return digest(facts)
}
