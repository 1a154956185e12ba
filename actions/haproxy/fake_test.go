package haproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

var actiontestDial = client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})

// fake answers as HAProxy 2.6 does, in the words and tables recorded in testdata, and refuses what it refuses. The same
// suite runs against the real one.
type fake struct {
	mu       sync.Mutex
	backends map[string][]*fakeServer
	stalled  chan struct{} // not nil: takes commands, answers nothing
	undone   bool          // another controller takes back at once what is set
}

type fakeServer struct {
	name, port, status string
	op                 int
	weight, admin      int
	sessions           int
}

func newFake() *fake {
	return &fake{backends: map[string][]*fakeServer{
		"web": {
			{name: "blue", port: "18081", status: "UP", op: 2}, {name: "green", port: "18082", status: "UP", op: 2, weight: 100},
			{name: "grey", port: "18083", status: "no check", op: 2}, {name: "brown", port: "18084", status: "DOWN"},
		},
		"lone": {{name: "only", port: "18085", status: "UP", op: 2, weight: 100}},
	}}
}

func startFake(t *testing.T, n int) rig {
	dir, err := os.MkdirTemp("", "fake") // t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	var all []*fake
	r := rig{undo: func() {
		for _, f := range all {
			f.change(func() { f.undone = true })
		}
	}}
	for i := range n {
		f := newFake()
		all = append(all, f)
		r.sockets = append(r.sockets, f.listen(t, filepath.Join(dir, fmt.Sprintf("admin%d", i)), true))
		r.operators = append(r.operators, f.listen(t, filepath.Join(dir, fmt.Sprintf("operator%d", i)), false))
	}
	r.hold = func(_ *testing.T, n int) func() {
		all[0].change(func() { all[0].backends["web"][1].sessions += n })
		return func() { all[0].change(func() { all[0].backends["web"][1].sessions -= n }) }
	}
	r.stall = func() {
		for _, f := range all {
			f.change(func() { f.stalled = make(chan struct{}) })
			t.Cleanup(func() { close(f.stalled) })
		}
	}
	return r
}

func (f *fake) change(do func()) { f.mu.Lock(); defer f.mu.Unlock(); do() }

func (f *fake) listen(t *testing.T, path string, admin bool) string {
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(conn, admin)
		}
	}()
	return path
}

func (f *fake) serve(conn net.Conn, admin bool) {
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	f.mu.Lock()
	stalled := f.stalled
	f.mu.Unlock()
	if stalled != nil {
		<-stalled
		return
	}
	for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
		io.WriteString(conn, f.answer(strings.Fields(command), admin)+"\n")
	}
}

func (f *fake) answer(words []string, admin bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	command := strings.Join(words, " ")
	switch {
	case strings.HasPrefix(command, "show servers state ") && len(words) == 4:
		return f.state(words[3])
	case strings.HasPrefix(command, "show stat ") && strings.HasSuffix(command, " 4 -1") && len(words) == 5:
		return f.stat(words[2])
	case len(words) < 3 || words[1] != "server" && words[1] != "sessions":
		return "Unknown command, but maybe one of the following ones is a better match:\n"
	case !admin:
		return "Permission denied\n"
	case strings.HasPrefix(command, "shutdown sessions server ") && len(words) == 4:
		return f.on(words[3], func(s *fakeServer) string { s.sessions = 0; return "" })
	case words[0] == "set" && len(words) >= 5:
		return f.on(words[2], func(s *fakeServer) string { return s.set(words[3], words[4], words[5:]) })
	}
	return "'set server <srv>' needs a parameter.\n"
}

func (f *fake) on(path string, do func(*fakeServer) string) string {
	backend, name, _ := strings.Cut(path, "/")
	for _, s := range f.backends[backend] {
		if s.name == name && f.undone {
			s = &fakeServer{} // what is set here nobody sees
		} else if s.name != name {
			continue
		}
		return do(s)
	}
	return "No such server.\n"
}

func (s *fakeServer) set(what, value string, rest []string) string {
	switch what + " " + value {
	case "state drain":
		s.admin, s.status = 8, strings.Replace(s.status, "UP", "DRAIN", 1)
		return ""
	case "state maint":
		s.admin, s.status, s.op = 1, "MAINT", 0
		return ""
	case "health down":
		s.status, s.op = "DOWN", 0
		return ""
	case "addr 127.0.0.1":
		s.port = rest[1]
		return "no need to change the addr, port changed from '18083' to '" + rest[1] + "' by 'stats socket command'\n"
	}
	var weight int
	if _, err := fmt.Sscanf(value, "%d", &weight); what != "weight" || err != nil || weight < 0 || weight > 256 {
		return "Absolute weight can only be between 0 and 256 inclusive.\n"
	}
	s.weight = weight
	return ""
}

func (f *fake) state(backend string) string {
	servers, there := f.backends[backend]
	if !there {
		return "Can't find backend.\n"
	}
	var b strings.Builder
	b.WriteString(headerOf("state.txt"))
	id := map[string]int{"web": 3, "lone": 4}[backend]
	for n, s := range servers {
		fmt.Fprintf(&b, "%d %s %d %s 127.0.0.1 %d %d %d %d 2 15 3 4 6 0 0 0 - %s - 0 0 - - 0\n", id, backend, n+1, s.name, s.op, s.admin, s.weight, s.weight, s.port)
	}
	return b.String() + "\n"
}

func (f *fake) stat(id string) string {
	backend, there := map[string]string{"3": "web", "4": "lone"}[id]
	if !there {
		return "No such proxy.\n"
	}
	servers := f.backends[backend]
	var b strings.Builder
	header := headerOf("stat.csv")
	b.WriteString(header)
	for _, s := range servers {
		fmt.Fprintf(&b, "%s,%s,0,0,%d,0,,0,0,0,,0,,0,0,0,0,%s,%d%s\n", backend, s.name, s.sessions, s.status, s.weight, strings.Repeat(",", strings.Count(header, ",")-18))
	}
	return b.String() + "\n"
}

// headerOf is everything before the rows of a recorded table.
func headerOf(file string) string {
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		panic(err)
	}
	head, _, _ := strings.Cut(string(raw), "\nweb,")
	head, _, _ = strings.Cut(head, "\n3 web ")
	return head + "\n"
}

func TestFakeHAProxy(t *testing.T) { suite(t, startFake) }

// An empty answer is no proof: another controller may own the weights.
func TestWhatIsTakenBackAtOnceIsNoSuccess(t *testing.T) {
	r := startFake(t, 1)
	r.undo()
	_, err := decode(t, &Weights{}, toBlue).Run(t.Context(), r.env(t))
	require.ErrorContains(t, err, "1 of 1 HAProxy processes do not have the weights")
	require.False(t, actions.IsPermanent(err))
	r = startFake(t, 1)
	r.by(t, 0, "set server web/blue weight 100")
	r.undo()
	_, err = decode(t, &Drain{}, `{backend: web, server: green, within: 1ms}`).Run(t.Context(), r.env(t))
	require.ErrorContains(t, err, "still gives it sessions")
}
