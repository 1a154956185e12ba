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

// parseServers joins the answers of `show servers state BACKEND` and `show stat BACKEND 4 -1`.
func parseServers(backend, state, stat string) ([]server, error) {
	if strings.HasPrefix(state, "Can't find backend") {
		return nil, actions.Permanent(fmt.Errorf("there is no backend %q", backend))
	}
	rows, err := stateRows(state)
	if err != nil {
		return nil, fmt.Errorf("read servers of %s: %w", backend, err)
	}
	live, err := statRows(stat)
	if err != nil {
		return nil, fmt.Errorf("read statistics of %s: %w", backend, err)
	}
	var servers []server
	for _, row := range rows {
		s, err := parseServer(row, live[row["srv_name"]])
		if err != nil || row["be_name"] != backend {
			return nil, fmt.Errorf("read server %q of %s: %w", row["srv_name"], backend, errors.Join(err, errOther(row["be_name"], backend)))
		}
		servers = append(servers, s)
	}
	if len(servers) == 0 || len(servers) != len(live) {
		return nil, fmt.Errorf("backend %s has %d servers in its state and %d in its statistics", backend, len(servers), len(live))
	}
	return servers, nil
}

func errOther(got, want string) error {
	if got != want {
		return fmt.Errorf("it is a server of %q", got)
	}
	return nil
}

func parseServer(row, live map[string]string) (server, error) {
	var failed []error
	number := func(from map[string]string, column string) int {
		n, err := strconv.Atoi(from[column])
		if err != nil {
			failed = append(failed, fmt.Errorf("column %s: %q is no number", column, from[column]))
		}
		return n
	}
	s := server{
		name: row["srv_name"], address: row["srv_addr"] + ":" + row["srv_port"], status: live["status"],
		weight: number(row, "srv_uweight"), admin: number(row, "srv_admin_state"),
		sessions: number(live, "scur") + number(live, "qcur"),
	}
	if s.name == "" || s.status == "" {
		failed = append(failed, errors.New("its name or status is missing"))
	}
	return s, errors.Join(failed...)
}

// stateRows reads version 1 of the table: a line "1", a line of column names after "# ", rows separated by spaces.
func stateRows(text string) ([]map[string]string, error) {
	version, rest, _ := strings.Cut(text, "\n")
	header, rest, _ := strings.Cut(rest, "\n")
	if version != "1" || !strings.HasPrefix(header, "# ") {
		return nil, errors.New("`show servers state` answered in a form that is not known")
	}
	columns := strings.Fields(strings.TrimPrefix(header, "# "))
	var rows []map[string]string
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
func statRows(text string) (map[string]map[string]string, error) {
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# ")))
	records, err := reader.ReadAll()
	if err != nil || len(records) == 0 || len(records[0]) < 2 || records[0][0] != "pxname" {
		return nil, errors.New("`show stat` answered in a form that is not known")
	}
	rows := map[string]map[string]string{}
	for _, record := range records[1:] {
		row := pair(records[0], record)
		rows[row["svname"]] = row
	}
	return rows, nil
}

func pair(columns, fields []string) map[string]string {
	row := make(map[string]string, len(columns))
	for n, column := range columns {
		row[column] = fields[n]
	}
	return row
}
