package incident

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Event is one fact of one history, in its envelope. Histories are append-only and hash-chained (S27).
type Event struct {
	// Version is the fact's place in its history, from 1.
	Version int       `json:"version"`
	Type    string    `json:"type"`
	Schema  int       `json:"schema"` // the version of the fact's own form; older ones still read
	At      time.Time `json:"at"`
	By      string    `json:"by"`               // who told: "astern", a person's name, a sender's name
	Config  string    `json:"config,omitempty"` // digest of the configuration in force
	Fact    Fact      `json:"fact"`
	// Hash covers the event and the hash before it.
	Hash string `json:"hash"`
}

// Fact is what happened, past tense. Every fact type is in the list of facts.go.
type Fact interface{ factType() string }

// NewEvent puts a fact in its envelope; the store numbers and chains it.
func NewEvent(at time.Time, by, config string, fact Fact) Event {
	return Event{Type: fact.factType(), Schema: 1, At: at.UTC(), By: by, Config: config, Fact: fact}
}

// EncodeFact writes the fact as JSON.
func EncodeFact(f Fact) ([]byte, error) {
	raw, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode fact %s: %w", f.factType(), err)
	}
	return raw, nil
}

// DecodeFact reads a fact of the given type and schema. A type or schema that this version does not know is an error:
// a newer program wrote it.
func DecodeFact(factType string, schema int, raw []byte) (Fact, error) {
	read, known := factTypes[factType]
	if !known || schema != 1 {
		return nil, fmt.Errorf("fact %q schema %d is unknown to this version: it was written by a newer astern", factType, schema)
	}
	return read(raw)
}

// Chain is the hash of an event that follows the one with hash prev. The fact goes in as it is stored.
func Chain(prev, stream string, e Event, fact []byte) string {
	h := sha256.New()
	for _, part := range []string{prev, stream, e.Type, e.At.UTC().Format(time.RFC3339Nano), e.By, e.Config} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(e.Version))
	binary.BigEndian.PutUint64(n[8:], uint64(e.Schema))
	h.Write(n[:])
	h.Write(fact)
	return hex.EncodeToString(h.Sum(nil))
}

func decode[F Fact](raw []byte) (Fact, error) {
	var f F
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("decode fact %s: %w", f.factType(), err)
	}
	return f, nil
}
