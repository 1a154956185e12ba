package haproxy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"astern.dev/astern/actions"
)

// server is one server of a backend, as one process sees it.
type server struct {
	name, address string
	weight        int
	admin         int    // what people and configuration asked for, as flags
	status        string // what the checks say: "UP", "UP 1/2", "DOWN", "no check", "MAINT", "DRAIN", …
	sessions      int    // current ones, those in its queue included
}

// The flags of srv_admin_state that matter here (HAProxy management guide, "show servers state").
const (
	maintFlags = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
	drainFlags = 0x08 | 0x10
)

func (s server) drained() bool { return s.admin&drainFlags != 0 }
func (s server) inMaint() bool { return s.admin&maintFlags != 0 }
func (s server) up() bool      { return s.status == "UP" || strings.HasPrefix(s.status, "UP ") }

// ready says whether the server can take traffic, and why not. A server that nothing checks is not known to be ready.
func (s server) ready() error {
	switch {
	case s.inMaint():
		return fmt.Errorf("%s is in maintenance", s.name)
	case s.drained():
		return fmt.Errorf("%s is drained; `set server` its state to ready first", s.name)
	case s.status == "no check":
		return fmt.Errorf("%s has no health check: whether it can take traffic is not known", s.name)
	case !s.up():
		return fmt.Errorf("%s is not up (%s)", s.name, s.status)
	}
	return nil
}

// takes says whether new sessions go to the server now.
func (s server) takes() bool { return s.weight > 0 && !s.inMaint() && !s.drained() && s.up() }

// parseState reads the answer of `show servers state BACKEND`: one row a server, at least one.
func parseState(backend, answer string) ([]row, error) {
	if strings.HasPrefix(answer, "Can't find backend") {
		return nil, actions.Permanent(fmt.Errorf("there is no backend %q", backend))
	}
	rows, err := stateRows(answer)
	if err != nil {
		return nil, fmt.Errorf("read servers of %s: %w", backend, err)
	}
	if len(rows) == 0 {
		return nil, actions.Permanent(fmt.Errorf("backend %s has no servers", backend))
	}
	for _, r := range rows {
		if r["be_name"] != backend || r["be_id"] != rows[0]["be_id"] {
			return nil, fmt.Errorf("read servers of %s: %q is a server of %q", backend, r["srv_name"], r["be_name"])
		}
	}
	return rows, nil
}

// parseServers adds the answer of `show stat ID 4 -1` to the rows of the state.
func parseServers(backend string, rows []row, answer string) ([]server, error) {
	live, err := statRows(answer)
	if err != nil {
		return nil, fmt.Errorf("read statistics of %s: %w", backend, err)
	}
	var servers []server
	for _, r := range rows {
		l := live[r["srv_name"]]
		s, err := parseServer(r, l)
		if err == nil && l["pxname"] != backend {
			err = fmt.Errorf("its statistics are of %q", l["pxname"])
		}
		if err != nil {
			return nil, fmt.Errorf("read server %q of %s: %w", r["srv_name"], backend, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// row is one line of a table, by its column names.
type row map[string]string

func parseServer(state, live row) (server, error) {
	var failed []error
	number := func(from row, column string) int {
		n, err := strconv.Atoi(from[column])
		if err != nil {
			failed = append(failed, fmt.Errorf("column %s: %q is no number", column, from[column]))
		}
		return n
	}
	s := server{
		name: state["srv_name"], address: state["srv_addr"] + ":" + state["srv_port"], status: live["status"],
		weight: number(state, "srv_uweight"), admin: number(state, "srv_admin_state"),
		sessions: number(live, "scur") + number(live, "qcur"),
	}
	if s.name == "" || s.status == "" {
		failed = append(failed, errors.New("its name or status is missing"))
	}
	return s, errors.Join(failed...)
}

// stateRows reads version 1 of the table: a line "1", a line of column names after "# ", rows separated by spaces.
func stateRows(text string) ([]row, error) {
	version, rest, _ := strings.Cut(text, "\n")
	header, rest, _ := strings.Cut(rest, "\n")
	if version != "1" || !strings.HasPrefix(header, "# ") {
		return nil, errors.New("`show servers state` answered in a form that is not known")
	}
	columns := strings.Fields(strings.TrimPrefix(header, "# "))
	var rows []row
	for line := range strings.Lines(rest) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != len(columns) {
			return nil, fmt.Errorf("a row has %d columns of %d", len(fields), len(columns))
		}
		rows = append(rows, pair(columns, fields))
	}
	return rows, nil
}

// statRows reads the CSV of `show stat`, by server name.
func statRows(text string) (map[string]row, error) {
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	records, err := reader.ReadAll()
	if err != nil || len(records) == 0 || len(records[0]) < 2 || records[0][0] != "pxname" {
		return nil, errors.New("`show stat` answered in a form that is not known")
	}
	rows := map[string]row{}
	for _, record := range records[1:] {
		r := pair(records[0], record)
		rows[r["svname"]] = r
	}
	return rows, nil
}

func pair(columns, fields []string) row {
	r := make(row, len(columns))
	for n, column := range columns {
		r[column] = fields[n]
	}
	return r
}
