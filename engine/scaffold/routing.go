package scaffold

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	amconfig "github.com/prometheus/alertmanager/config"

	"astern.dev/astern/actions/client"
)

// Routing is what must be known of Alertmanager's configuration to put a route into it.
type Routing struct {
	// Root is the receiver that takes what no route takes; First is the first child route in words, empty when there is none.
	Root, First string
	Routes      int
	// Ours are receivers that look as if they led to astern already.
	Ours    []string
	Version string
}

// readRouting reads the configuration with Alertmanager's own code.
func readRouting(status client.AlertmanagerStatus) (*Routing, error) {
	c, err := amconfig.Load(status.Config)
	if err != nil {
		return nil, errors.New("its own code refuses it")
	}
	r := &Routing{Root: c.Route.Receiver, Routes: len(c.Route.Routes), Version: status.Version}
	for _, receiver := range c.Receivers {
		if strings.Contains(strings.ToLower(receiver.Name), "astern") {
			r.Ours = append(r.Ours, receiver.Name)
		}
	}
	if r.Routes > 0 {
		r.First = inWords(c.Route.Routes[0], c.Route.Receiver)
	}
	return r, nil
}

func inWords(route *amconfig.Route, inherited string) string {
	receiver := route.Receiver
	if receiver == "" {
		receiver = inherited
	}
	if len(route.Matchers) == 0 {
		return fmt.Sprintf("the one to %q", receiver)
	}
	return fmt.Sprintf("the one to %q for %s", receiver, route.Matchers)
}

// takesTimeout says that `timeout` may stand in a webhook: Alertmanager 0.28 or newer. A version that cannot be read is
// taken for a new one.
func (r *Routing) takesTimeout() bool {
	if r == nil {
		return true
	}
	parts := strings.SplitN(strings.TrimPrefix(r.Version, "v"), ".", 3)
	if len(parts) < 2 {
		return true
	}
	major, err := strconv.Atoi(parts[0])
	minor, too := strconv.Atoi(parts[1])
	return err != nil || too != nil || major > 0 || minor >= 28
}
