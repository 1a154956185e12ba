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

// found covers which servers each process has, where they are, and their weights. With Continues the weights that the step
// sets are left out: an earlier step of the same plan changes them.
func (w *Weights) found(views []view) string {
	var facts []string
	for _, v := range views {
		for _, s := range v.servers {
			facts = append(facts, fmt.Sprintf("%s has %s/%s at %s", v.socket, w.Backend, s.name, s.address))
			if !w.Continues || !w.sets(s.name) {
				facts = append(facts, fmt.Sprintf("%s has %s/%s at weight %d", v.socket, w.Backend, s.name, s.weight))
			}
		}
	}
	return digest(facts)
}

func (w *Weights) sets(server string) bool {
	return slices.ContainsFunc(w.Weights, func(to ServerWeight) bool { return to.Server == server })
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
