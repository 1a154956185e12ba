package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

const module = "astern.dev/astern"

// moduleRoot is the folder of the module that the working directory is in.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		err = fmt.Errorf("there is no go.mod above the working directory")
	}
	return "", err
}

// comments reads the doc comments of the module's types.
type comments struct {
	root  string
	known map[string]map[string]string // package -> "Type" or "Type.Field" -> text
}

// ours says whether the type is declared in the module.
func ours(t reflect.Type) bool {
	return t.PkgPath() == module || strings.HasPrefix(t.PkgPath(), module+"/")
}

// of is the comment of a type, or of one of its fields; one paragraph a line.
func (c *comments) of(t reflect.Type, field string) (string, error) {
	texts, err := c.read(t.PkgPath())
	if err != nil {
		return "", err
	}
	name := t.Name()
	if field != "" {
		name += "." + field
	}
	if texts[name] == "" {
		return "", fmt.Errorf("%s: %s has no doc comment: users read it", t.PkgPath(), name)
	}
	return texts[name], nil
}

func (c *comments) read(pkg string) (map[string]string, error) {
	if known, ok := c.known[pkg]; ok {
		return known, nil
	}
	dir := filepath.Join(c.root, strings.TrimPrefix(strings.TrimPrefix(pkg, module), "/"))
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(sources) == 0 {
		return nil, errors.Join(fmt.Errorf("read comments of %s: no sources in %s", pkg, dir), err)
	}
	texts := map[string]string{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("read comments of %s: %w", pkg, err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.TYPE {
				addTypes(texts, d)
			}
			return true
		})
	}
	if c.known == nil {
		c.known = map[string]map[string]string{}
	}
	c.known[pkg] = texts
	return texts, nil
}

func addTypes(texts map[string]string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		s, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		texts[s.Name.Name] = paragraphs(s.Doc)
		if s.Doc == nil {
			texts[s.Name.Name] = paragraphs(d.Doc)
		}
		body, ok := s.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range body.Fields.List {
			for _, name := range field.Names {
				texts[s.Name.Name+"."+name.Name] = paragraphs(field.Doc)
			}
		}
	}
}

// paragraphs joins the lines of each paragraph.
func paragraphs(doc *ast.CommentGroup) string {
	var all []string
	for paragraph := range strings.SplitSeq(doc.Text(), "\n\n") {
		if joined := strings.Join(strings.Fields(paragraph), " "); joined != "" {
			all = append(all, joined)
		}
	}
	return strings.Join(all, "\n")
}
