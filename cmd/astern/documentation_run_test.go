package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Pages that are told as one session, from top to bottom, in a folder that holds the examples:
//
//   - a block behind a line that ends with `NAME`: is written to that file
//   - a block marked sh is run, and prints what the block right behind it shows; a line … stands for any lines
//   - a block marked console needs a server or the network: it is not run, but its commands and flags must exist
//
// Blocks marked yaml are also checked, each among HoneyLink's files, by documentation_test.go.
var sessions = []string{"docs/rules.md"}

func TestDocumentationPrintsWhatItShows(t *testing.T) {
	for _, page := range sessions {
		t.Run(page, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "..", page))
			require.NoError(t, err)
			dir := folder(t)
			ran := 0
			for _, b := range fences(string(text)) {
				switch {
				case b.file != "":
					require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, b.file)), 0o755))
					require.NoError(t, os.WriteFile(filepath.Join(dir, b.file), []byte(b.text), 0o600))
				case b.lang == "sh":
					ran++
					require.NoError(t, printsAsShown(t, dir, b), "%s:%d", page, b.line)
				}
			}
			require.NotZero(t, ran)
		})
	}
}

// A page whose output is wrong fails, and so does one that leaves something out unmarked.
func TestADocumentThatShowsSomethingElseFails(t *testing.T) {
	page := func(shown string) error {
		b := fences("```sh\nastern check examples/honeylink\n```\n```\n" + shown + "```\n")
		require.Len(t, b, 2)
		return printsAsShown(t, folder(t), b[0])
	}
	require.NoError(t, page("Held against examples/honeylink/alertmanager.yml, examples/honeylink/prometheus-rules.yaml\n5 files, 5 rules, 1 target, 1 procedure: no mistakes\n"))
	require.NoError(t, page("…\n5 files, 5 rules, 1 target, 1 procedure: no mistakes\n"))
	require.Error(t, page("…\n5 files, 6 rules, 1 target, 1 procedure: no mistakes\n"))
	require.Error(t, page("5 files, 5 rules, 1 target, 1 procedure: no mistakes\n"))
	require.Error(t, page("Held against examples/honeylink/alertmanager.yml, examples/honeylink/prometheus-rules.yaml\n"))
}

// folder is where a session takes place.
func folder(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "examples", "honeylink"), os.DirFS(filepath.Join("..", "..", "examples", "honeylink"))))
	return dir
}

// fenced is one block of a page.
type fenced struct {
	line             int
	lang, text, file string
	shows            string // the output right behind it
	hasOutput        bool
}

var (
	fenceOf = regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)^ *```$")
	fileOf  = regexp.MustCompile("`([\\w./-]+)`:\n\n?$")
)

func fences(text string) []fenced {
	var all []fenced
	end := -1
	for _, m := range fenceOf.FindAllStringSubmatchIndex(text, -1) {
		b := fenced{line: strings.Count(text[:m[0]], "\n") + 1, lang: text[m[4]:m[5]], text: text[m[6]:m[7]]}
		if name := fileOf.FindStringSubmatch(text[:m[0]]); name != nil {
			b.file = name[1]
		}
		if b.lang == "" && b.file == "" && end >= 0 && strings.TrimSpace(text[end:m[0]]) == "" {
			all[len(all)-1].shows, all[len(all)-1].hasOutput = b.text, true
		}
		all, end = append(all, b), m[1]
	}
	return all
}

// printsAsShown runs a block and holds what it prints against what the page shows.
func printsAsShown(t *testing.T, dir string, b fenced) error {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", b.text)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "ASTERN_SERVER=http://127.0.0.1:1")
	printed, _ := cmd.CombinedOutput() // what is shown says whether it failed
	if !b.hasOutput || fits(b.shows, string(printed)) {
		return nil
	}
	return fmt.Errorf("%s\nprints:\n%s\nthe page shows:\n%s", b.text, printed, b.shows)
}

// fits holds a text against one in which … stands for any lines.
func fits(shown, printed string) bool {
	pattern := regexp.QuoteMeta(strings.TrimRight(shown, "\n") + "\n")
	pattern = regexp.MustCompile(`(?m)^…\n`).ReplaceAllString(pattern, `(?:.*\n)*?`)
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(strings.TrimRight(printed, "\n") + "\n")
}

// Every command of the documentation exists, with its flags.
func TestDocumentedCommandsExist(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	require.NoError(t, err)
	seen := 0
	for _, page := range append(pages, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, line := range commandLines(string(text)) {
			seen++
			require.NoError(t, exists(line), "%s: %s", filepath.Base(page), line)
		}
	}
	require.Greater(t, seen, 40)
	require.Error(t, exists("astern stop --reson x"))
	require.Error(t, exists("astern stopp"))
	require.Error(t, exists("astern stop --target"))
}

var (
	spans  = regexp.MustCompile("`(astern [^`\n]+)`")
	astern = regexp.MustCompile(`(?:^|\| ?|\$ |&& )(astern [^|#>]*)`)
)

// commandLines are the commands in a page's blocks and spans.
func commandLines(text string) []string {
	var all []string
	for _, b := range fences(text) {
		if b.lang != "sh" && b.lang != "console" {
			continue
		}
		for _, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n") {
			for _, m := range astern.FindAllStringSubmatch(line, -1) {
				all = append(all, m[1])
			}
		}
	}
	for _, m := range spans.FindAllStringSubmatch(text, -1) {
		before, _, _ := strings.Cut(m[1], " > ")
		all = append(all, before)
	}
	return all
}

var wordOf = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)

// exists looks whether there is such a command with such flags; it runs nothing.
func exists(line string) error {
	var args []string
	for _, w := range wordOf.FindAllString(line, -1)[1:] {
		args = append(args, strings.Trim(w, `"'`))
	}
	a, _ := testApp()
	root := rootCommand(a)
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	root.InitDefaultCompletionCmd()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if c.HasSubCommands() && c.Flags().NArg() > 0 {
		return fmt.Errorf("%s has no command %s", c.CommandPath(), c.Flags().Arg(0))
	}
	return nil
}
