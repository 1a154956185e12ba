package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"astern.dev/astern/engine/simulate/ruletest"
	"astern.dev/astern/web"
)

// testDocument is `astern test -o json`.
type testDocument struct {
	web.Header
	Tests    int               `json:"tests"`
	Failed   int               `json:"failed"`
	Files    []testFileEntry   `json:"files"`
	Coverage *testCoverageJSON `json:"coverage,omitempty"` // with --coverage
}

type testFileEntry struct {
	File   string      `json:"file"`
	Failed int         `json:"failed"`
	Tests  []testEntry `json:"tests"`
}

type testEntry struct {
	Name     string         `json:"name"`
	Line     int            `json:"line"`
	Passed   bool           `json:"passed"`
	Seconds  *float64       `json:"seconds,omitempty"` // with --verbose
	Failures []failureEntry `json:"failures,omitempty"`
	Story    []momentEntry  `json:"story,omitempty"` // with --verbose
}

type failureEntry struct {
	Line    int          `json:"line"`
	At      string       `json:"at"`
	Fields  []fieldEntry `json:"fields"`
	Because []string     `json:"because,omitempty"`
}

type fieldEntry struct {
	Field    string `json:"field"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
}

type momentEntry struct {
	At       string `json:"at"`
	Incident string `json:"incident"`
	What     string `json:"what"`
	Text     string `json:"text"`
}

type testCoverageJSON struct {
	Rules  []ruleCoverageJSON  `json:"rules"`
	Guards []guardCoverageJSON `json:"guards"`
}

type ruleCoverageJSON struct {
	Rule    string       `json:"rule"`
	File    string       `json:"file"`
	Line    int          `json:"line"`
	Matched bool         `json:"matched"`
	Judged  bool         `json:"judged"`
	Acted   bool         `json:"acted"`
	Parts   []branchJSON `json:"parts"`
}

type branchJSON struct {
	Source string `json:"source"`
	True   bool   `json:"true"`
	False  bool   `json:"false"`
}

type guardCoverageJSON struct {
	Guard string `json:"guard"`
	Asked bool   `json:"asked"`
	Held  bool   `json:"held"`
}

// tested prints what the tests came to, in the form that was asked for.
func (a *app) tested(results []ruletest.Result, f testFlags) error {
	if a.output == asJUnit {
		page, err := junit(results, f)
		if err != nil {
			return err
		}
		return a.write(page)
	}
	got, err := document("Test", func(h web.Header) testDocument { return testDocumentOf(h, results, f) })
	if err != nil {
		return err
	}
	return show(a, got, failedTests, func(w io.Writer, _ testDocument) { a.testPage(w, results, f) })
}

// failedTests are the names of the tests that failed.
func failedTests(d testDocument) []string {
	var names []string
	for _, f := range d.Files {
		for _, t := range f.Tests {
			if !t.Passed {
				names = append(names, f.File+": "+t.Name)
			}
		}
	}
	return names
}

func testDocumentOf(h web.Header, results []ruletest.Result, f testFlags) testDocument {
	d := testDocument{Header: h, Files: []testFileEntry{}}
	for _, r := range results {
		file := testFileEntry{File: r.File.Path, Failed: r.Failed(), Tests: []testEntry{}}
		for _, t := range r.Tests {
			file.Tests = append(file.Tests, testEntryOf(t, f))
		}
		d.Tests, d.Failed = d.Tests+len(file.Tests), d.Failed+file.Failed
		d.Files = append(d.Files, file)
	}
	if f.coverage {
		d.Coverage = coverageJSON(joined(results))
	}
	return d
}

func testEntryOf(t ruletest.TestResult, f testFlags) testEntry {
	e := testEntry{Name: t.Test.Name, Line: t.Test.Line, Passed: !t.Failed()}
	for _, failure := range t.Failures {
		one := failureEntry{Line: failure.Line, At: failure.When(), Because: failure.Why}
		for _, field := range failure.Fields {
			one.Fields = append(one.Fields, fieldEntry{field.Name, field.Want, field.Got})
		}
		e.Failures = append(e.Failures, one)
	}
	if !f.verbose {
		return e
	}
	took := t.Took.Seconds()
	e.Seconds = &took
	for _, h := range t.Story.Histories {
		for _, said := range inWords(t.Story, h) {
			if !said.system {
				e.Story = append(e.Story, momentEntry{ruletest.OffsetText(said.after), h.ID, said.word, said.text})
			}
		}
	}
	return e
}

func coverageJSON(c *ruletest.Coverage) *testCoverageJSON {
	out := &testCoverageJSON{Rules: []ruleCoverageJSON{}}
	for _, r := range c.Rules {
		one := ruleCoverageJSON{Rule: r.Name, File: r.File, Line: r.Line, Matched: r.Matched, Judged: r.Judged, Acted: r.Acted, Parts: []branchJSON{}}
		for _, b := range r.Branches {
			one.Parts = append(one.Parts, branchJSON(b))
		}
		out.Rules = append(out.Rules, one)
	}
	for _, g := range c.Guards {
		out.Guards = append(out.Guards, guardCoverageJSON{g.Name, g.Asked, g.Refused})
	}
	return out
}

// The form of JUnit's reports, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr,omitempty"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"`
		File      string        `xml:"file,attr"`
		Line      int           `xml:"line,attr"`
		Time      string        `xml:"time,attr,omitempty"`
		Failure   *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",cdata"`
	}
)

func junit(results []ruletest.Result, f testFlags) ([]byte, error) {
	all := junitSuites{}
	plain := &app{plain: true}
	for _, r := range results {
		suite := junitSuite{Name: r.File.Path, Tests: len(r.Tests), Failures: r.Failed(), Time: seconds(r.Took, f)}
		for _, t := range r.Tests {
			one := junitCase{Name: t.Test.Name, ClassName: r.File.Path, File: r.File.Path, Line: t.Test.Line, Time: seconds(t.Took, f)}
			if t.Failed() {
				one.Failure = plain.junitFailure(r, t)
			}
			suite.Cases = append(suite.Cases, one)
		}
		all.Tests, all.Failures = all.Tests+suite.Tests, all.Failures+suite.Failures
		all.Suites = append(all.Suites, suite)
	}
	page, err := xml.MarshalIndent(all, "", "  ")
	return []byte(xml.Header + string(page) + "\n"), err
}

func (a *app) junitFailure(r ruletest.Result, t ruletest.TestResult) *junitFailure {
	var text strings.Builder
	for _, f := range t.Failures {
		a.failure(&text, r, t, f, false)
	}
	first := t.Failures[0]
	field := first.Fields[0]
	message := fmt.Sprintf("%s at %s: expected %s, got %s", field.Name, first.When(), field.Want, field.Got)
	return &junitFailure{visible(message), "expectation", "\n" + text.String()}
}

// seconds is a real time; left out unless it is asked for, so that the same run gives the same report.
func seconds(d time.Duration, f testFlags) string {
	if !f.verbose {
		return ""
	}
	return fmt.Sprintf("%.3f", d.Seconds())
}
