package backtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// keep is the file of one chunk. It is written whole or not at all, and says itself what it holds.
type keep struct {
	path string
	head kept
}

type kept struct {
	Version int             `json:"version"`
	URL     string          `json:"url"`
	What    string          `json:"what"`
	Query   string          `json:"query"`
	Step    time.Duration   `json:"step"`
	From    time.Time       `json:"from"`
	To      time.Time       `json:"to"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// keptVersion changes when what chunks hold changes its meaning.
const keptVersion = 1

func (p *past) keepOf(what, query string, step time.Duration, s span) keep {
	head := kept{Version: keptVersion, URL: p.URL, What: what, Query: query, Step: step, From: s.From.UTC(), To: s.To.UTC()}
	growing := s.To.Sub(s.From) < chunkLength(step) || !p.Settled.IsZero() && s.To.After(p.Settled)
	if p.State == "" || growing {
		return keep{"", head}
	}
	name := sha256.Sum256(fmt.Appendf(nil, "%d\n%q\n%q\n%q\n%q\n%d\n%d\n%d", keptVersion, p.URL, p.Asker, what, query, step, s.From.Unix(), s.To.Unix()))
	return keep{filepath.Join(p.State, hex.EncodeToString(name[:16])+".json"), head}
}

// load says whether the chunk was kept. A file that is broken, or of something else, is none.
func (k keep) load(into any) bool {
	if k.path == "" {
		return false
	}
	raw, err := os.ReadFile(k.path)
	if err != nil {
		return false
	}
	var got kept
	if json.Unmarshal(raw, &got) != nil {
		return false
	}
	data := got.Data
	got.Data = nil
	if fmt.Sprint(got) != fmt.Sprint(k.head) {
		return false
	}
	return json.Unmarshal(data, into) == nil
}

func (k keep) store(data any) error {
	if k.path == "" {
		return nil
	}
	failed := func(err error) error { return fmt.Errorf("keep what was read: %w", err) }
	raw, err := json.Marshal(data)
	if err != nil {
		return failed(err)
	}
	k.head.Data = raw
	if raw, err = json.Marshal(k.head); err != nil {
		return failed(err)
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return failed(err)
	}
	draft, err := os.CreateTemp(filepath.Dir(k.path), ".chunk-*")
	if err != nil {
		return failed(err)
	}
	_, err = draft.Write(raw)
	if closed := draft.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(draft.Name(), k.path)
	}
	if err != nil {
		os.Remove(draft.Name())
		return failed(err)
	}
	return nil
}
