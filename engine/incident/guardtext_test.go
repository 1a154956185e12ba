package incident

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsWrittenReadsBackEqual(t *testing.T) {
	require.Empty(t, Guards{}.Written())
	off := map[string]any{}
	for _, name := range []string{"cooldown", "recent_change", "flapping", "mass_event", "destination_healthy", "watchdog", "settle"} {
		off[name] = "off"
	}
	switched, problems := GuardsFrom(off)
	require.Empty(t, problems)
	for _, g := range []Guards{DefaultGuards(), switched, Merge(switched, DefaultGuards())} {
		written := map[string]any{}
		for name, text := range g.Written() {
			written[name] = text
		}
		back, problems := GuardsFrom(written)
		require.Empty(t, problems)
		require.Equal(t, g, back)
	}
	require.Equal(t, GuardNames(), slices.Sorted(maps.Keys(DefaultGuards().Written())), "every guard has its words")
	require.Equal(t, "5 or 30% in 10m", DefaultGuards().Written()["mass_event"])
	require.Equal(t, "1h", DefaultGuards().Written()["cooldown"])
}
