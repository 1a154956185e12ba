package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const (
	maxObjects  = 500
	maxObject   = 1 << 20  // what a cluster stores of one object
	maxRendered = 16 << 20 // of all of them
)

// documents reads what `kubectl apply -f` would: YAML documents or JSON, lists taken apart, empty documents left out.
// A key that stands twice is refused: which of the two counts would be the reader's choice.
func documents(name string, text []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	reader := kyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		raw, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", name, n, err)
		}
		found, err := document(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", name, n, err)
		}
		if all = append(all, found...); len(all) > maxObjects {
			return nil, fmt.Errorf("%s: more than %d objects", name, maxObjects)
		}
	}
}

func document(raw []byte) ([]*unstructured.Unstructured, error) {
	text, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, err
	}
	if len(text) > maxObject {
		return nil, fmt.Errorf("%d bytes are more than a cluster stores (%d)", len(text), maxObject)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	return objects(value)
}

// objects takes lists apart: `kind: List` and `kind: ConfigMapList` hold objects, as kubectl writes them.
func objects(value any) ([]*unstructured.Unstructured, error) {
	if value == nil {
		return nil, nil
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("is no object with apiVersion and kind")
	}
	obj := &unstructured.Unstructured{Object: fields}
	if obj.GetKind() == "" || obj.GetAPIVersion() == "" {
		return nil, errors.New("apiVersion and kind are required")
	}
	if !obj.IsList() {
		return []*unstructured.Unstructured{obj}, nil
	}
	var all []*unstructured.Unstructured
	items, _, err := unstructured.NestedSlice(fields, "items")
	if err != nil {
		return nil, err
	}
	for n, item := range items {
		one, err := objects(item)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", n, err)
		}
		all = append(all, one...)
	}
	return all, nil
}
