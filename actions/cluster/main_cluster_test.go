//go:build cluster

package cluster

import (
	"testing"

	"astern.dev/astern/tools/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }
