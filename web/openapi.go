package web

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// object is a piece of the API document.
type object = map[string]any

// document serves the OpenAPI document: the table of routes and the Go types behind it, so that it cannot be wrong
// about either.
func (s *Server) document(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, openAPI(s.router.routes))
}

func openAPI(routes []route) object {
	schemas := schemaBook{object{}, map[string]reflect.Type{}}
	paths := object{}
	for _, r := range routes {
		operations, _ := paths[r.path].(object)
		if operations == nil {
			operations = object{}
			paths[r.path] = operations
		}
		operations[strings.ToLower(r.method)] = schemas.operation(r)
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "astern", "version": "v1", "description": "Every answer carries apiVersion and kind; every error has one shape."},
		"paths":   paths,
		"components": object{
			"schemas": schemas.written,
			"securitySchemes": object{
				"person":       object{"type": "http", "scheme": "bearer", "description": "A person's token; see `people` in astern.yaml."},
				"senderBasic":  object{"type": "http", "scheme": "basic", "description": "See `senders` in astern.yaml."},
				"senderBearer": object{"type": "http", "scheme": "bearer", "description": "See `senders` in astern.yaml."},
			},
		},
	}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (book schemaBook) operation(r route) object {
	var parameters []object
	for _, m := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range r.query {
		parameters = append(parameters, object{"name": q.name, "in": "query", "description": q.does, "schema": object{"type": "string"}})
	}
	o := object{
		"operationId": operationID(r), "summary": r.does, "x-astern-role": r.role,
		"responses": object{
			"200":     object{"description": "Done.", "content": book.content(r.out)},
			"default": object{"description": "The one shape of every error.", "content": book.content(reflect.TypeFor[ErrorAnswer]())},
		},
		"security": security(r.role),
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if r.in != nil && r.in.NumField() > 0 {
		o["requestBody"] = object{"required": true, "content": book.content(r.in)}
	}
	return o
}

func operationID(r route) string {
	words := strings.FieldsFunc(r.path, func(c rune) bool { return strings.ContainsRune("/{}-._", c) })
	return strings.ToLower(r.method) + "_" + strings.Join(words, "_")
}

func security(role Role) []object {
	switch role {
	case Public:
		return []object{}
	case Sender:
		return []object{{"senderBasic": []string{}}, {"senderBearer": []string{}}}
	}
	return []object{{"person": []string{}}}
}

// schemaBook holds the schema of every named struct, by its name in the document.
type schemaBook struct {
	written object
	types   map[string]reflect.Type
}

func (book schemaBook) content(t reflect.Type) object {
	if t == nil {
		return object{"text/plain": object{"schema": object{"type": "string"}}}
	}
	return object{"application/json": object{"schema": book.schema(t)}}
}

func (book schemaBook) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "description": "nanoseconds"}
	case reflect.TypeFor[json.RawMessage]():
		return object{"description": "any JSON"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return book.schema(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": book.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": book.schema(t.Elem())}
	case reflect.Struct:
		return book.reference(t)
	case reflect.Interface:
		return object{"description": "any JSON"}
	}
	return object{"type": "integer"}
}

// reference writes a struct into the book once and points to it.
func (book schemaBook) reference(t reflect.Type) object {
	name := schemaName(t)
	switch other, there := book.types[name]; {
	case there && other != t:
		panic("two types are called " + name + " in the API document: " + other.String() + " and " + t.String())
	case !there:
		book.types[name] = t // before its members are read: a type may hold itself
		properties, required := object{}, []string{}
		book.members(t, properties, &required)
		schema := object{"type": "object", "properties": properties}
		if len(required) > 0 {
			schema["required"] = required
		}
		book.written[name] = schema
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (book schemaBook) members(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			book.members(f.Type, properties, required)
		case !f.IsExported(), name == "-":
		default:
			if name == "" {
				name = f.Name
			}
			properties[name] = book.schema(f.Type)
			if !strings.Contains(options, "omit") {
				*required = append(*required, name)
			}
		}
	}
}

var nameless = regexp.MustCompile(`[^A-Za-z0-9]+`)

// schemaName is the type's own name; a list is named by what it holds, and an engine value that shares its name with
// one of the API's own by its package.
func schemaName(t reflect.Type) string {
	name := t.Name()
	if of, generic := strings.CutPrefix(name, "List["); generic {
		return nameless.ReplaceAllString(of[strings.LastIndexAny(of, "/.")+1:], "") + "List"
	}
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	if pkg != "web" && (name == "Release" || name == "Receipt" || name == "Event") {
		return strings.ToUpper(pkg[:1]) + pkg[1:] + name
	}
	return name
}
