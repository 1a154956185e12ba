package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds nesting in a notification: Alertmanager's own are four deep.
const maxDepth = 16

// Malformed is a request that no retry can mend.
type Malformed struct {
	Status int    // 400, 413 or 415
	Field  string // a JSON pointer; empty when it is the body as a whole or a header
	Reason string
	Hint   string
}

func (m *Malformed) Error() string {
	if m.Field == "" {
		return m.Reason
	}
	return m.Field + ": " + m.Reason
}

func malformedAt[Pointer ~string](field Pointer, format string, args ...any) error {
	return &Malformed{Status: http.StatusBadRequest, Field: shorten(string(field)), Reason: fmt.Sprintf(format, args...)}
}

// quote shows a stranger's text in a message: escaped and bounded.
func quote(s string) string { return strconv.QuoteToASCII(shorten(s)) }

func shorten(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return cut(s, most) + "…"
}

// reader walks the tokens of one JSON document. The tokenizer refuses duplicate names, invalid UTF-8 and bad syntax by
// itself; the reader adds depth, case variants of known names, and the kinds each member must have.
type reader struct {
	dec   *jsontext.Decoder
	words *wordCache
	size  int // of the document
}

func newReader(body []byte) (reader, error) {
	switch {
	case len(body) == 0:
		return reader{}, malformedAt("", "the body is empty")
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")), bytes.HasPrefix(body, []byte("\xfe\xff")), bytes.HasPrefix(body, []byte("\xff\xfe")):
		return reader{}, malformedAt("", "the body starts with a byte order mark: send plain UTF-8")
	}
	return reader{jsontext.NewDecoder(bytes.NewBuffer(body)), wordCaches.Get().(*wordCache), len(body)}, nil
}

// done ends the reading.
func (r reader) done() { wordCaches.Put(r.words) }

// document reads one object and nothing after it.
func (r reader) document(what string, known []string, member func(name string) error) error {
	if err := r.object(what, known, member); err != nil {
		return err
	}
	_, err := r.dec.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return r.syntax(err)
	}
	return malformedAt("", "the body goes on after %s: send one document", what)
}

func (r reader) object(what string, known []string, member func(name string) error) error {
	if err := r.begin(jsontext.KindBeginObject, what+" is an object"); err != nil {
		return err
	}
	for r.dec.PeekKind() != jsontext.KindEndObject {
		name, err := r.text()
		if err != nil {
			return err
		}
		if err := r.exactCase(name, known); err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := r.next()
	return err
}

// exactCase refuses a name that another reader of JSON would take for a known one.
func (r reader) exactCase(name string, known []string) error {
	for _, k := range known {
		if name == k {
			return nil
		}
	}
	for _, k := range known {
		if strings.EqualFold(name, k) {
			return malformedAt(r.dec.StackPointer(), "differs from %q only in case", k)
		}
	}
	return nil
}

func (r reader) array(element func() error) error {
	if err := r.begin(jsontext.KindBeginArray, "must be an array"); err != nil {
		return err
	}
	for r.dec.PeekKind() != jsontext.KindEndArray {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := r.next()
	return err
}

func (r reader) begin(kind jsontext.Kind, otherwise string) error {
	token, err := r.next()
	if err != nil {
		return err
	}
	if token.Kind() != kind {
		return malformedAt(r.dec.StackPointer(), "%s, not %s", otherwise, kindName(token.Kind()))
	}
	return nil
}

// next reads one token. It is valid until the next read.
func (r reader) next() (jsontext.Token, error) {
	token, err := r.dec.ReadToken()
	if err != nil {
		return token, r.syntax(err)
	}
	if r.dec.StackDepth() > maxDepth {
		return token, malformedAt(r.dec.StackPointer(), "nested deeper than %d", maxDepth)
	}
	return token, nil
}

func (r reader) syntax(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return malformedAt(r.dec.StackPointer(), "the body ends in the middle")
	case !errors.As(err, &syntactic):
		return malformedAt("", "the body is not JSON: %v", err)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return malformedAt(syntactic.JSONPointer, "stands twice")
	}
	return malformedAt(syntactic.JSONPointer, "not JSON at byte %d: %v", syntactic.ByteOffset, syntactic.Err)
}

// quoted reads a string as it is written; it is valid until the next read. What is none is told to be no want.
func (r reader) quoted(want string) (jsontext.Value, error) {
	if r.dec.PeekKind() != jsontext.KindString {
		token, err := r.next()
		if err != nil {
			return nil, err
		}
		return nil, malformedAt(r.dec.StackPointer(), "must be %s, not %s", want, kindName(token.Kind()))
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.syntax(err)
	}
	return value, nil
}

func (r reader) text() (string, error) {
	quoted, err := r.quoted("a string")
	if err != nil {
		return "", err
	}
	text, err := r.words.read(quoted)
	if err != nil {
		return "", malformedAt(r.dec.StackPointer(), "is no JSON string: %v", err)
	}
	return text, nil
}

// null reads a null if one stands here. Older senders write it for what they do not have.
func (r reader) null() (bool, error) {
	if r.dec.PeekKind() != jsontext.KindNull {
		return false, nil
	}
	_, err := r.next()
	return true, err
}

// str reads a string; null leaves it as it is.
func (r reader) str(into *string) error {
	null, err := r.null()
	if null || err != nil {
		return err
	}
	text, err := r.text()
	if err == nil {
		*into = text
	}
	return err
}

// stringMap reads an object of strings. Names that differ in case are different labels. Into nil it is only checked.
func (r reader) stringMap(into *map[string]string) error {
	null, err := r.null()
	if null || err != nil {
		return err
	}
	if err := r.begin(jsontext.KindBeginObject, "must be an object"); err != nil {
		return err
	}
	var m map[string]string
	if into != nil {
		m = make(map[string]string, 8)
		*into = m
	}
	for r.dec.PeekKind() != jsontext.KindEndObject {
		name, err := r.text()
		if err != nil {
			return err
		}
		text, err := r.text()
		if err != nil {
			return err
		}
		if into != nil {
			m[name] = text
		}
	}
	_, err = r.next()
	return err
}

func (r reader) time(into *time.Time) error {
	quoted, err := r.quoted("a time")
	if err != nil {
		return err
	}
	text, err := content(quoted)
	if err == nil {
		err = into.UnmarshalText(text)
	}
	if err != nil {
		return malformedAt(r.dec.StackPointer(), "%s is not an RFC 3339 time", quote(string(text)))
	}
	*into = into.UTC()
	return nil
}

func (r reader) count(into *int) error {
	token, err := r.next()
	if err != nil {
		return err
	}
	if token.Kind() != jsontext.KindNumber {
		return malformedAt(r.dec.StackPointer(), "must be a number, not %s", kindName(token.Kind()))
	}
	n, err := token.Uint()
	if err != nil || n > math.MaxInt32 {
		return malformedAt(r.dec.StackPointer(), "must be a whole number from 0 to %d", math.MaxInt32)
	}
	*into = int(n)
	return nil
}

// skip reads one value of any kind and forgets it.
func (r reader) skip() error {
	depth := r.dec.StackDepth()
	for {
		if _, err := r.next(); err != nil {
			return err
		}
		if r.dec.StackDepth() <= depth {
			return nil
		}
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginObject:
		return "an object"
	}
	return "an array"
}

// requestError names the field of a request that could not be read into its type.
func requestError(err error) error {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &semantic):
		return malformedAt(semantic.JSONPointer, "unknown member")
	case errors.As(err, &semantic):
		return malformedAt(semantic.JSONPointer, "must be %s, not %s", goKind(semantic.GoType), kindName(semantic.JSONKind))
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic):
		return malformedAt(syntactic.JSONPointer, "stands twice")
	case errors.As(err, &syntactic):
		return malformedAt(syntactic.JSONPointer, "not JSON at byte %d", syntactic.ByteOffset)
	}
	return malformedAt("", "the body is not one JSON document")
}

func goKind(t reflect.Type) string {
	switch {
	case t == nil:
		return "another kind"
	case t == reflect.TypeFor[time.Time]():
		return "an RFC 3339 time"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "another kind"
}
