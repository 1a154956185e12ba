package main

import (
	"encoding/json"
	"fmt"
	"maps"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
)

// snapshotVersion is the form that this program writes and reads.
const snapshotVersion = 1

// snapshot is a configuration as it is kept: the files whole, and of astern.yaml only what a judgement asks for, by
// name. Connections, people and tokens stay outside, so that no secret can come in.
type snapshot struct {
	Version        int               `json:"version"`
	Astern         snapshotSettings  `json:"astern_yaml"`
	Rules          map[string]string `json:"rules"`
	Targets        map[string]string `json:"targets"`
	Procedures     map[string]string `json:"procedures"`
	Communications map[string]string `json:"communications"`
}

type snapshotSettings struct {
	DefaultMode incident.Mode                `json:"default_mode"`
	Modes       map[string]incident.Mode     `json:"modes"`
	Guards      map[string]string            `json:"guards"` // those left to their default, too
	TeamGuards  map[string]map[string]string `json:"team_guards"`
	Connections map[string][]string          `json:"connections"` // names by kind
	Senders     map[string]string            `json:"senders"`     // with the name of their connection
}

// snapshot is the configuration as the engine keeps it.
func (l *loaded) snapshot() ([]byte, error) {
	c := l.Config
	s := snapshot{
		Version: snapshotVersion, Rules: texts(l.files.Rules), Targets: texts(l.files.Targets),
		Procedures: texts(l.files.Procedures), Communications: texts(l.files.Communications),
		Astern: snapshotSettings{
			DefaultMode: c.Modes.Default, Modes: c.Modes.ByEnvironment, Guards: c.Guards.Written(),
			TeamGuards: map[string]map[string]string{}, Connections: c.ConnectionNames(), Senders: map[string]string{},
		},
	}
	for _, t := range c.Teams {
		s.Astern.TeamGuards[t.Name] = t.Guards.Written()
	}
	for _, sender := range c.Senders {
		s.Astern.Senders[sender.Name] = senderConnection(c, sender)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write the configuration's snapshot: %w", err)
	}
	return raw, nil
}

// reopenConfiguration reads a snapshot with the loader that read its files. No connection is open: each is there by name.
func reopenConfiguration(registry *actions.Registry, raw []byte) (*engine.Configuration, error) {
	var s snapshot
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("read a configuration's snapshot: %w", err)
	}
	if s.Version != snapshotVersion {
		return nil, fmt.Errorf("read a configuration's snapshot: it has form %d, this version of astern reads form %d", s.Version, snapshotVersion)
	}
	settings, err := s.Astern.settings()
	if err != nil {
		return nil, err
	}
	l := &loaded{Registry: registry, files: config.Files{
		Rules: contents(s.Rules), Targets: contents(s.Targets), Procedures: contents(s.Procedures), Communications: contents(s.Communications),
	}}
	found, err := l.read()
	if err == nil {
		err = withoutTargets(found).Err() // they were in force: where targets are discovered, one may have been missing
	}
	if err != nil {
		return nil, fmt.Errorf("this version of astern does not take the files of then: %w", err)
	}
	return &engine.Configuration{Rules: l.Rules, Book: l.Book, Settings: settings, Source: raw}, nil
}

func (s snapshotSettings) settings() (engine.Settings, error) {
	out := engine.Settings{
		DefaultMode: s.DefaultMode, Modes: s.Modes, TeamGuards: map[string]incident.Guards{},
		Connections: map[string]map[string]any{}, SenderConnections: maps.Clone(s.Senders),
	}
	var err error
	if out.Guards, err = guardsOf(s.Guards); err != nil {
		return out, err
	}
	for team, written := range s.TeamGuards {
		if out.TeamGuards[team], err = guardsOf(written); err != nil {
			return out, fmt.Errorf("team %s: %w", team, err)
		}
	}
	for kind, names := range s.Connections {
		out.Connections[kind] = map[string]any{}
		for _, name := range names {
			out.Connections[kind][name] = nil
		}
	}
	return out, nil
}

func guardsOf(written map[string]string) (incident.Guards, error) {
	values := map[string]any{}
	for name, text := range written {
		values[name] = text
	}
	guards, problems := incident.GuardsFrom(values)
	if len(problems) > 0 {
		return guards, fmt.Errorf("this version of astern does not take the guards of then: %w", problems[0])
	}
	return guards, nil
}

func texts(files map[string][]byte) map[string]string {
	all := make(map[string]string, len(files))
	for name, data := range files {
		all[name] = string(data)
	}
	return all
}

func contents(files map[string]string) map[string][]byte {
	all := make(map[string][]byte, len(files))
	for name, text := range files {
		all[name] = []byte(text)
	}
	return all
}
