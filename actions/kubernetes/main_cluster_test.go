//go:build cluster

package kubernetes

import (
	"testing"

	"astern.dev/astern/tools/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }
