package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen prints the story: lines that stay, and on a terminal one last line that is painted again and again. It is safe
// for concurrent use.
type screen struct {
	out    io.Writer
	now    func() time.Time
	live   bool // a terminal: the last line may be painted over
	colour bool
	width  int

	mu     sync.Mutex
	begun  time.Time // of the story; zero while things are made ready
	status string
	told   time.Time // when the status was last printed where it cannot be painted over
}

func newScreen(out *os.File, now func() time.Time) *screen {
	s := &screen{out: out, now: now, width: 100}
	if fd := int(out.Fd()); term.IsTerminal(fd) {
		s.live = true
		s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(fd); err == nil {
			s.width = width
		}
	}
	return s
}

// Tones of a line's word.
const (
	plain = ""
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (s *screen) paint(tone, text string) string {
	if !s.colour || tone == plain {
		return text
	}
	return "\x1b[" + tone + "m" + text + "\x1b[0m"
}

// begin starts the story's clock.
func (s *screen) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = s.now()
}

// head prints a heading between empty lines.
func (s *screen) head(text string) { s.print("\n" + s.paint(bold, text) + "\n") }

// text prints lines as they are, indented.
func (s *screen) text(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		s.print("  " + strings.TrimRight(line, "\n"))
	}
}

// tell prints one line of the story: the time since it began, a word and what happened.
func (s *screen) tell(tone, word, format string, args ...any) {
	s.mu.Lock()
	clock := "     "
	if !s.begun.IsZero() {
		passed := s.now().Sub(s.begun)
		clock = fmt.Sprintf("%2d:%02d", int(passed.Minutes()), int(passed.Seconds())%60)
	}
	s.mu.Unlock()
	s.print(fmt.Sprintf("  %s  %s  %s", s.paint(dim, clock), s.paint(tone, fmt.Sprintf("%-11s", word)), fmt.Sprintf(format, args...)))
}

func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprintln(s.out, text)
	s.repaint()
}

// show sets the live line. Where lines cannot be painted over it is printed every five seconds.
func (s *screen) show(status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.status = status
	if !s.live && status != "" && s.now().Sub(s.told) >= 5*time.Second {
		s.told = s.now()
		fmt.Fprintln(s.out, "         "+status)
	}
	s.repaint()
}

func (s *screen) wipe() {
	if s.live && s.status != "" {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
}

func (s *screen) repaint() {
	if s.live && s.status != "" {
		fmt.Fprint(s.out, "         "+s.status)
	}
}

// close takes the live line away.
func (s *screen) close() { s.show("") }

// Write prints what a program tells while it is made, as one line that is painted over on a terminal.
func (s *screen) Write(p []byte) (int, error) {
	if line := strings.TrimSpace(string(p)); s.live {
		s.show(s.paint(dim, line))
	} else {
		s.print("         " + line)
	}
	return len(p), nil
}
