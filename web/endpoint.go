package web

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"astern.dev/astern/engine"
)

const (
	// apiBodyLimit bounds a person's request; wordsLimit bounds each text in it, for it goes into histories and messages.
	apiBodyLimit = 1 << 20
	wordsLimit   = 4 << 10
	// apiWithin bounds a request of the API; a preview reads from the world.
	apiWithin = 45 * time.Second
)

// endpoint is how a route answers; in and out are the Go types of its JSON, nil where there is none.
type endpoint struct {
	in, out reflect.Type
	// reads says that nothing is changed, though the question comes as a body.
	reads bool
	serve func(w http.ResponseWriter, r *http.Request, c call)
}

// call is who asks for what.
type call struct {
	who    identity
	params map[string]string
	query  url.Values
}

// person is the caller as histories name them.
func (c call) person(r *http.Request) engine.Person {
	via := "api"
	if len(r.UserAgent()) >= 7 && r.UserAgent()[:7] == "astern/" {
		via = "cli"
	}
	return engine.Person{Name: c.who.name, Role: string(c.who.role), Via: via}
}

// page is an endpoint that is not JSON of the API.
func page(do http.HandlerFunc) endpoint {
	return endpoint{serve: func(w http.ResponseWriter, r *http.Request, _ call) { do(w, r) }}
}

// notification is the door's endpoint.
func notification(do func(http.ResponseWriter, *http.Request, identity)) endpoint {
	return endpoint{out: reflect.TypeFor[Receipt](), serve: func(w http.ResponseWriter, r *http.Request, c call) { do(w, r, c.who) }}
}

// ask is an endpoint that only reads.
func ask[Out any](do func(ctx context.Context, c call) (Out, error)) endpoint {
	return endpoint{out: reflect.TypeFor[Out](), serve: func(w http.ResponseWriter, r *http.Request, c call) {
		ctx, cancel := context.WithTimeout(r.Context(), apiWithin)
		defer cancel()
		out, err := do(ctx, c)
		answer(w, out, err)
	}}
}

// tell is an endpoint by which a person changes something.
func tell[In, Out any](do func(ctx context.Context, p engine.Person, c call, in In) (Out, error)) endpoint {
	return endpoint{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), serve: func(w http.ResponseWriter, r *http.Request, c call) {
		ctx, cancel := context.WithTimeout(r.Context(), apiWithin)
		defer cancel()
		in, err := request[In](w, r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		out, err := do(ctx, c.person(r), c, in)
		answer(w, out, err)
	}}
}

// inquire is an endpoint that only reads, by a question too long for a query string.
func inquire[In, Out any](do func(ctx context.Context, p engine.Person, c call, in In) (Out, error)) endpoint {
	e := tell(do)
	e.reads = true
	return e
}

func answer(w http.ResponseWriter, out any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// fail answers with the error and leaves it with the writer, so that the log has the text an answer does not show.
func fail(w http.ResponseWriter, err error) {
	if recorder, ok := w.(*recorder); ok {
		recorder.err = err
	}
	writeProblem(w, problemOf(err))
}

// request reads a person's request strictly. A type without members needs no body.
func request[In any](w http.ResponseWriter, r *http.Request) (In, error) {
	var in In
	if reflect.TypeFor[In]().NumField() == 0 && r.ContentLength == 0 {
		return in, nil
	}
	if err := wantJSON(r); err != nil {
		return in, err
	}
	body, err := readBody(w, r, apiBodyLimit)
	if err != nil {
		return in, err
	}
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true)); err != nil {
		return in, requestError(err)
	}
	return in, nil
}

// words checks one text of a person's request.
func words(field, text string, required bool) error {
	switch {
	case required && text == "":
		return malformedAt("/"+field, "missing: it goes into the history")
	case len(text) > wordsLimit:
		return malformedAt("/"+field, "longer than %d bytes", wordsLimit)
	}
	return nil
}

// number reads a whole number of the query; absent is the number given.
func (c call) number(name string, otherwise, most int) (int, error) {
	text := c.query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, &Malformed{Status: http.StatusBadRequest, Reason: "query " + name + ": " + quote(text) + " is not a whole number from 0 to " + strconv.Itoa(most)}
	}
	return n, nil
}

func (c call) flag(name string) (bool, error) {
	text := c.query.Get(name)
	if text == "" {
		return false, nil
	}
	set, err := strconv.ParseBool(text)
	if err != nil {
		return false, &Malformed{Status: http.StatusBadRequest, Reason: "query " + name + ": " + quote(text) + " is neither true nor false"}
	}
	return set, nil
}

// queryOf reads the query string strictly: an unknown or repeated member is refused, for it would silently not narrow.
func queryOf(r *http.Request, known []parameter) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Malformed{Status: http.StatusBadRequest, Reason: "the query string cannot be read"}
	}
	for name, values := range query {
		if !slices.ContainsFunc(known, func(p parameter) bool { return p.name == name }) {
			return nil, &Malformed{Status: http.StatusBadRequest, Reason: "query " + quote(name) + " is not known here"}
		}
		if len(values) > 1 {
			return nil, &Malformed{Status: http.StatusBadRequest, Reason: "query " + quote(name) + " stands twice"}
		}
	}
	return query, nil
}
