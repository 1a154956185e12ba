package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"astern.dev/astern/actions"
)

// entry is one action or channel as `astern actions` shows it: the binary holds no sources, so it holds this.
type entry struct {
	Name       string      `json:"name"`
	Kind       string      `json:"kind"` // action or channel
	About      string      `json:"about"`
	Can        []string    `json:"can,omitempty"`
	Updates    bool        `json:"updates,omitempty"`
	Parameters []parameter `json:"parameters"`
	Outputs    []parameter `json:"outputs,omitempty"`
	Example    string      `json:"example"`
}

type parameter struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Meaning string `json:"meaning"`
}

// data is every action and channel as JSON, one a line.
func (p *page) data(r *actions.Registry) []byte {
	var lines [][]byte
	add := func(name, kind string, e actions.Entry) {
		line, err := json.Marshal(p.entryOf(name, kind, e))
		p.failed = append(p.failed, err)
		lines = append(lines, line)
	}
	for _, name := range r.ActionNames() {
		e, _ := r.Action(name)
		add(name, "action", e)
	}
	for _, name := range r.ChannelNames() {
		e, _ := r.Channel(name)
		add(name, "channel", e)
	}
	return append(append([]byte("[\n"), bytes.Join(lines, []byte(",\n"))...), "\n]\n"...)
}

func (p *page) entryOf(name, kind string, e actions.Entry) entry {
	action := e.New()
	of := reflect.TypeOf(action).Elem()
	about := strings.ReplaceAll(p.about(of, name), "`"+name+"` ", name+" ")
	got := entry{Name: name, Kind: kind, About: about, Updates: e.Updates, Parameters: p.parametersOf(of, "yaml"), Example: strings.TrimRight(e.Example, "\n")}
	if _, can := action.(actions.Verifier); can {
		got.Can = append(got.Can, "verify")
	}
	if _, can := action.(actions.Repairer); can {
		got.Can = append(got.Can, "repair")
	}
	if outputs := action.Outputs(); outputs != nil {
		got.Outputs = p.parametersOf(reflect.TypeOf(outputs), "json")
	}
	return got
}

func (p *page) parametersOf(of reflect.Type, tag string) []parameter {
	all := []parameter{}
	for _, r := range p.rows(of, "", tag) {
		all = append(all, parameter{r.name, r.takes, r.meaning})
	}
	return all
}
