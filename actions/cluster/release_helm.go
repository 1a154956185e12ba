package cluster

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// maxHelm bounds one release record once it is unpacked.
const maxHelm = 32 << 20

var (
	chartForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)
	gzipMagic = []byte{0x1f, 0x8b, 0x08}
)

// helmRelease is what is read of a release record. Values and manifests hold secrets: they are not even decoded.
type helmRelease struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Version   int    `json:"version"`
	Info      struct {
		Status       string    `json:"status"`
		LastDeployed time.Time `json:"last_deployed"`
	} `json:"info"`
	Chart struct {
		Metadata struct {
			Name       string `json:"name"`
			Version    string `json:"version"`
			AppVersion string `json:"appVersion"`
		} `json:"metadata"`
	} `json:"chart"`
}

func (h helmRelease) chart() string {
	return firstOf(chartForm, h.Chart.Metadata.Name+"-"+h.Chart.Metadata.Version)
}

// byHelm reads which chart a workload came from: that of the newest deployed record of its release. Several may say
// "deployed" after a failed upgrade; the highest counts. Without the right to read Secrets there is none to read.
func (c *Cluster) byHelm(ctx context.Context, obj *unstructured.Unstructured) (helmRelease, bool, error) {
	name, namespace := obj.GetAnnotations()["meta.helm.sh/release-name"], obj.GetAnnotations()["meta.helm.sh/release-namespace"]
	if CheckName("release", name) != nil || CheckNamespace("namespace", namespace) != nil {
		return helmRelease{}, false, nil
	}
	newest, err := c.newestHelmRecord(ctx, namespace, name)
	if err != nil || newest == nil {
		return helmRelease{}, false, err
	}
	h, err := readHelmRelease(newest)
	if err != nil {
		return helmRelease{}, false, fmt.Errorf("%s: %w", RefOf(newest), err)
	}
	return h, h.Info.Status == "deployed" && h.chart() != "", nil
}

func (c *Cluster) newestHelmRecord(ctx context.Context, namespace, name string) (*unstructured.Unstructured, error) {
	records, err := c.List(ctx, "Secret", namespace, "owner=helm,status=deployed,name="+name)
	if IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var newest *unstructured.Unstructured
	highest := 0
	for i := range records {
		n, err := strconv.Atoi(records[i].GetLabels()["version"])
		if err == nil && n > highest && textAt(records[i].Object, "type") == "helm.sh/release.v1" {
			highest, newest = n, &records[i]
		}
	}
	return newest, nil
}

// readHelmRelease unpacks a record: base64 by the API, base64 by Helm, gzip, JSON.
func readHelmRelease(secret *unstructured.Unstructured) (helmRelease, error) {
	var h helmRelease
	packed, err := base64.StdEncoding.DecodeString(textAt(secret.Object, "data", "release"))
	if err != nil {
		return h, fmt.Errorf("read a Helm release: %w", err)
	}
	raw, err := base64.StdEncoding.DecodeString(string(packed))
	if err != nil {
		return h, fmt.Errorf("read a Helm release: %w", err)
	}
	if bytes.HasPrefix(raw, gzipMagic) { // Helm 2 did not pack
		unpacked, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return h, fmt.Errorf("read a Helm release: %w", err)
		}
		if raw, err = io.ReadAll(io.LimitReader(unpacked, maxHelm+1)); err != nil {
			return h, fmt.Errorf("read a Helm release: %w", err)
		}
	}
	if len(raw) > maxHelm {
		return h, fmt.Errorf("read a Helm release: it is larger than %d MiB", maxHelm>>20)
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return h, fmt.Errorf("read a Helm release: it is no JSON of that form: %w", err)
	}
	return h, nil
}
