package exec_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// program is what the tests run, by its first word.
func program(args []string) int {
	dir := os.Getenv("DIR")
	switch args[0] {
	case "effect-once":
		return effectOnce(dir)
	case "is-there":
		if _, err := os.Stat(filepath.Join(dir, "effects")); err != nil {
			return 1
		}
	case "exit":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return 99
		}
		fmt.Println(strings.Join(args[2:], " "))
		return code
	case "signal":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		hang()
	case "tell":
		return tell(args[1:])
	case "flood":
		fmt.Print("begin", strings.Repeat("x\n", 1<<20), "end")
	case "secret":
		fmt.Print("it is ", os.Getenv("SECRET"), " ", strings.Split(os.Getenv("SECRET"), "\n")[1])
	case "secret-flood":
		for range 5000 {
			fmt.Println(strings.Split(os.Getenv("SECRET"), "\n")[0])
		}
	case "hang":
		hang()
	case "stubborn", "stubborn-child":
		return stubborn(dir, args[0])
	case "leave-child":
		return leaveChild()
	case "write-args":
		return writeArgs(dir, args[1:])
	}
	return 0
}

// effectOnce adds a line for a key that it has not seen, as a careful program does.
func effectOnce(dir string) int {
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 98
	}
	if _, err := os.Stat(filepath.Join(dir, "broken")); err == nil {
		fmt.Println("failed with", os.Environ(), string(raw))
		return 3
	}
	var told struct{ Key string }
	if json.Unmarshal(raw, &told) != nil {
		return 97
	}
	path := filepath.Join(dir, "effects")
	before, _ := os.ReadFile(path)
	if !strings.Contains(string(before), told.Key) && os.WriteFile(path, append(before, told.Key+"\n"...), 0o600) != nil {
		return 96
	}
	return 0
}

func tell(args []string) int {
	dir, err := os.Getwd()
	if err != nil {
		return 98
	}
	var stdin map[string]any
	if json.NewDecoder(os.Stdin).Decode(&stdin) != nil {
		return 97
	}
	if json.NewEncoder(os.Stdout).Encode(map[string]any{"environ": os.Environ(), "args": args, "dir": dir, "stdin": stdin}) != nil {
		return 96
	}
	return 0
}

// stubborn ignores SIGTERM and, as the parent, starts a child that does, too. Both hold the pipe alive open.
func stubborn(dir, as string) int {
	signal.Ignore(syscall.SIGTERM)
	alive, err := os.OpenFile(filepath.Join(dir, "alive"), os.O_WRONLY, 0)
	if err != nil {
		return 98
	}
	defer alive.Close()
	if as == "stubborn" {
		child := exec.Command(os.Args[0], "as-program", "stubborn-child")
		child.Stdout = os.Stdout
		if child.Start() != nil {
			return 97
		}
		hang()
	}
	if os.WriteFile(filepath.Join(dir, "ready"), []byte("."), 0) != nil {
		return 96
	}
	hang()
	return 0
}

// leaveChild ends with success while a child keeps its output open.
func leaveChild() int {
	child := exec.Command(os.Args[0], "as-program", "hang")
	child.Stdout = os.Stdout
	if child.Start() != nil {
		return 97
	}
	return 0
}

func writeArgs(dir string, args []string) int {
	var vars []string
	for n := range args {
		vars = append(vars, os.Getenv(fmt.Sprintf("V%d", n)))
	}
	for name, values := range map[string][]string{"args": args, "vars": vars} {
		if os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(values, "\x00")+"\x00"), 0o600) != nil {
			return 98
		}
	}
	return 0
}

// hang never returns. An empty select would: the runtime ends a program in which nothing can happen any more.
func hang() {
	for {
		_ = syscall.Pause() // returns after each signal that is handled
	}
}
