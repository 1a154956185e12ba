package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"astern.dev/astern/engine/lint"
	"astern.dev/astern/rules/expr"
)

// checkFormats are the forms in which `check` tells mistakes.
var checkFormats = []string{"text", "json", "github", "sarif"}

// githubCommands are the mistakes as workflow commands: GitHub shows each beside its line.
func githubCommands(all expr.Diagnostics) string {
	var b strings.Builder
	for _, d := range all {
		word := d.Severity()
		if word == "info" {
			word = "notice"
		}
		fmt.Fprintf(&b, "::%s file=%s", word, githubProperty(d.File))
		if d.Line > 0 {
			fmt.Fprintf(&b, ",line=%d,col=%d,endColumn=%d", d.Line, d.Column, d.Column+max(d.Width, 1))
		}
		fmt.Fprintf(&b, ",title=%s::%s\n", githubProperty(d.Code), githubText(sentence(d)))
	}
	return b.String()
}

var (
	githubTexts      = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperties = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func githubText(s string) string     { return githubTexts.Replace(s) }
func githubProperty(s string) string { return githubProperties.Replace(s) }

// sentence is the mistake without its place: where, what, and what to do.
func sentence(d expr.Diagnostic) string {
	s := d.Message
	if d.Path != "" {
		s = d.Path + ": " + s
	}
	if d.Hint != "" {
		s += " (" + d.Hint + ")"
	}
	return s
}

// The parts of a SARIF 2.1.0 log that are used here.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string       `json:"id"`
		Short   sarifMessage `json:"shortDescription"`
		Help    sarifMessage `json:"help"`
		Default sarifDefault `json:"defaultConfiguration"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex *int            `json:"ruleIndex,omitempty"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int           `json:"startLine"`
		StartColumn int           `json:"startColumn"`
		EndColumn   int           `json:"endColumn"`
		Snippet     *sarifMessage `json:"snippet,omitempty"`
	}
)

// sarif is the mistakes as a SARIF log. Columns are characters, as everywhere in astern.
func sarif(all expr.Diagnostics) ([]byte, error) {
	codes := lint.Codes()
	at := map[string]*int{}
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "astern", Version: version(), Rules: []sarifRule{}}}, ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	for i, c := range codes {
		at[c.Name] = &i
		help := c.Meaning + " " + c.Mend
		if c.Example != "" {
			help = c.Meaning + " Example: " + c.Example + " " + c.Mend
		}
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c.Name, sarifMessage{c.Meaning}, sarifMessage{help}, sarifDefault{sarifLevel(string(c.Severity))}})
	}
	for _, d := range all {
		run.Results = append(run.Results, sarifResult{d.Code, at[d.Code], sarifLevel(d.Severity()), sarifMessage{sentence(d)}, []sarifLocation{{sarifPlace(d)}}})
	}
	return json.MarshalIndent(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}, "", "  ")
}

func sarifLevel(severity string) string {
	if severity == "info" {
		return "note"
	}
	return severity
}

func sarifPlace(d expr.Diagnostic) sarifPhysical {
	p := sarifPhysical{Artifact: sarifArtifact{fileURI(d.File)}}
	if d.Line > 0 {
		p.Region = &sarifRegion{StartLine: d.Line, StartColumn: d.Column, EndColumn: d.Column + max(d.Width, 1)}
		if d.Source != "" {
			p.Region.Snippet = &sarifMessage{d.Source}
		}
	}
	return p
}

// fileURI is a relative reference for a relative name, so that a viewer can find it below the repository.
func fileURI(name string) string {
	u := url.URL{Path: filepath.ToSlash(filepath.Clean(name))}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
	}
	return u.String()
}
