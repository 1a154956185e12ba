package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run the real main in processes of its own, clients and servers.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"astern": main}) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("ASTERN_TOKEN_FILE", "admin.token")
			env.Setenv("ASTERN_SERVER", "http://127.0.0.1:1")
			env.Values[ofScript{}] = &ofScript{}
			return writeWorld(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "serve": serveInScript, "crash": crash, "deliver": deliver, "into": into, "follow": follow, "recorded": recorded, "guarded": guarded, "past": past,
		},
	})
}

// ofScript is what one script holds beside its environment.
type ofScript struct{ server *running }

// writeWorld copies testdata/world, an installation whose procedures touch nothing but themselves, and makes its secrets.
func writeWorld(dir string) error {
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "world"))); err != nil {
		return err
	}
	for _, who := range []string{"am", "viewer", "approver", "admin"} {
		if err := os.WriteFile(filepath.Join(dir, who+".token"), []byte("canary-token-of-"+who+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// exits CODE COMMAND… runs a command that must end with exactly this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// into VAR COMMAND… runs a command and puts what it prints into the environment.
func into(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: into VAR COMMAND…")
	}
	ts.Check(ts.Exec(args[1], args[2:]...))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// follow ID REGEXP watches an incident until a line of its history fits.
func follow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: follow ID REGEXP")
	}
	fits, err := regexp.Compile(args[1])
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cmd := exec.CommandContext(ctx, "astern", "incidents", "show", args[0], "--watch", "--timeout=60s", "--server="+ts.Getenv("ASTERN_SERVER"), "--token-file="+ts.MkAbs("admin.token"))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = cmd.Stdout
	ts.Check(cmd.Start())
	seen := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if seen += lines.Text() + "\n"; fits.MatchString(lines.Text()) {
			stop()
			_ = cmd.Wait() // it was ended
			return
		}
	}
	ts.Fatalf("no line fits %s:\n%s", args[1], seen)
}

// running is a server that a test started.
type running struct {
	cmd     *exec.Cmd
	address string
	ended   chan struct{}
	said    bytes.Buffer // read it once ended is closed
}

var listening = regexp.MustCompile(`msg=listening address=(\S+)`)

// startServer starts `astern serve` in dir and waits until it listens.
func startServer(dir string, env []string, args ...string) (*running, error) {
	cmd := exec.CommandContext(context.Background(), "astern", append([]string{"serve"}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &running{cmd: cmd, ended: make(chan struct{})}
	address := make(chan string, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.said.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case address <- m[1]:
				default:
				}
			}
		}
		_ = cmd.Wait() // how it ended is the test's affair
	}()
	select {
	case s.address = <-address:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("astern serve ended: %s", s.said.String())
	}
}

// end ends the server; what it said is complete then.
func (s *running) end(signal os.Signal) {
	_ = s.cmd.Process.Signal(signal) // it may have ended by itself
	<-s.ended
}

// serve [FLAGS] starts a server and makes the script's commands talk to it. The second one of a script listens where the
// first one did.
func serveInScript(ts *testscript.TestScript, neg bool, args []string) {
	address := strings.TrimPrefix(ts.Getenv("SERVED"), "http://")
	if address == "" {
		address = "127.0.0.1:0"
	}
	s, err := startServer(ts.MkAbs("."), append(os.Environ(), "HOME="+ts.Getenv("HOME")), append(args, "--web.listen-address="+address)...)
	ts.Check(err)
	ts.Defer(func() {
		s.end(os.Interrupt)
		ts.Logf("the server said:\n%s", s.said.String())
	})
	ts.Setenv("SERVED", "http://"+s.address)
	ts.Setenv("ASTERN_SERVER", "http://"+s.address)
	ts.Value(ofScript{}).(*ofScript).server = s
}

// crash ends the server at once, as a crash does.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	ts.Value(ofScript{}).(*ofScript).server.end(os.Kill)
}

// deliver ALERTNAME SERVICE knocks at the door as Alertmanager does, with one alert that fires since a minute.
func deliver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: deliver ALERTNAME SERVICE")
	}
	labels := map[string]string{"alertname": args[0], "service": args[1]}
	body, err := json.Marshal(map[string]any{
		"version": "4", "receiver": "astern", "status": "firing", "groupKey": "{}:{}", "groupLabels": map[string]string{}, "commonLabels": labels,
		"commonAnnotations": map[string]string{}, "externalURL": "http://alertmanager.invalid", "truncatedAlerts": 0,
		"alerts": []any{map[string]any{"status": "firing", "labels": labels, "annotations": map[string]string{}, "fingerprint": "15f87901b99538bc",
			"startsAt": time.Now().Add(-time.Minute).UTC(), "endsAt": "0001-01-01T00:00:00Z", "generatorURL": ""}},
	})
	ts.Check(err)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, ts.Getenv("ASTERN_SERVER")+"/api/v1/alertmanager", bytes.NewReader(body))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer canary-token-of-am")
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("the door answers %s", response.Status)
	}
}
