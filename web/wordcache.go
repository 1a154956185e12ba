package web

import (
	"bytes"
	"hash/maphash"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// wordCache remembers words as they were written and as they read: the alerts of a notification say the same names, and most
// of the same values, again and again, and so does the next notification.
type wordCache struct {
	seed  maphash.Seed
	words [1024]struct{ written, read string }
}

// wordCaches are for one reader at a time each.
var wordCaches = sync.Pool{New: func() any { return &wordCache{seed: maphash.MakeSeed()} }}

const maxCachedWord = 512

// read gives what a JSON string says that the tokenizer let pass, quotes and escapes taken away.
func (c *wordCache) read(quoted jsontext.Value) (string, error) {
	written := quoted[1 : len(quoted)-1]
	if len(written) == 0 || len(written) > maxCachedWord {
		text, err := content(quoted)
		return string(text), err
	}
	at := maphash.Bytes(c.seed, written) % uint64(len(c.words))
	for _, place := range [2]uint64{at, at ^ 1} {
		if c.words[place].written == string(written) {
			return c.words[place].read, nil
		}
	}
	word := &c.words[at]
	if word.written != "" { // the neighbour has to go, so that two words do not drive each other out
		word = &c.words[at^1]
	}
	text, err := content(quoted)
	if err != nil {
		return "", err
	}
	if word.read = string(text); len(text) == len(written) { // an escape is always longer than what it stands for
		word.written = word.read
	} else {
		word.written = string(written)
	}
	return word.read, nil
}

func content(quoted jsontext.Value) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	return jsontext.AppendUnquote(make([]byte, 0, len(quoted)), quoted)
}
