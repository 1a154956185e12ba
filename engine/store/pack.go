package store

import (
	"fmt"

	"github.com/klauspost/compress/s2"
)

// packed is the first byte of a text that was made small; no JSON begins with it. Most of a notification's text are the
// same words again, and writing them out costs more than finding that out.
const packed = 0x01

// packFrom is the length from which it pays.
const packFrom = 1 << 10

func pack(text []byte) []byte {
	if len(text) < packFrom {
		return text
	}
	room := make([]byte, 1+s2.MaxEncodedLen(len(text)))
	room[0] = packed
	return room[:1+len(s2.Encode(room[1:], text))]
}

func unpack(stored []byte) ([]byte, error) {
	if len(stored) == 0 || stored[0] != packed {
		return stored, nil
	}
	text, err := s2.Decode(nil, stored[1:])
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return text, nil
}
