package incident

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGuardsAreReadAsWritten(t *testing.T) {
	g, problems := GuardsFrom(map[string]any{
		"cooldown": "2d", "recent_change": "off", "flapping": "3 in 30m", "mass_event": "5 or 30% in 10m", "max_per_hour": "3",
	})
	require.Empty(t, problems)
	require.Equal(t, Bound[time.Duration]{Written: true, Value: 48 * time.Hour}, g.Cooldown)
	require.Equal(t, Bound[time.Duration]{Written: true, Off: true}, g.RecentChange)
	require.Equal(t, Burst{Count: 3, Within: 30 * time.Minute}, g.Flapping.Value)
	require.Equal(t, Burst{Count: 5, Percent: 30, Within: 10 * time.Minute}, g.MassEvent.Value)
	require.Equal(t, 3, g.MaxPerHour.Value)
	require.False(t, g.MaxPerDay.Written)
}

func TestAGuardThatIsNoneIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"cooldwon": "1h", "cooldown": "0s", "approval_offered": "off", "recent_change": "-5m", "max_per_hour": "0",
		"max_per_day": "many", "changing_at_once": "off", "flapping": "3", "mass_event": "5 or 300% in 10m", "settle": "9999999d",
	} {
		_, problems := GuardsFrom(map[string]any{name: text})
		require.Len(t, problems, 1, "%s: %s", name, text)
		require.Equal(t, name, problems[0].Name)
	}
}

func TestTheNearerGuardWins(t *testing.T) {
	rule, _ := GuardsFrom(map[string]any{"cooldown": "5m"})
	target, _ := GuardsFrom(map[string]any{"cooldown": "10m", "recent_change": "off"})
	g := Merge(rule, target, DefaultGuards())
	require.Equal(t, 5*time.Minute, g.Cooldown.Value)
	require.True(t, g.RecentChange.Off)
	require.Equal(t, 10, g.MaxPerDay.Value)
}

func TestBurstsMayBeMaps(t *testing.T) {
	g, problems := GuardsFrom(map[string]any{
		"flapping": map[string]any{"episodes": int64(3), "within": "30m"}, "max_per_day": int64(7),
		"mass_event": map[string]any{"targets": int64(5), "percent": int64(20), "within": "10m"},
	})
	require.Empty(t, problems)
	require.Equal(t, Burst{Count: 3, Within: 30 * time.Minute}, g.Flapping.Value)
	require.Equal(t, Burst{Count: 5, Percent: 20, Within: 10 * time.Minute}, g.MassEvent.Value)
	require.Equal(t, 7, g.MaxPerDay.Value)
	for _, v := range []any{map[string]any{"episodes": int64(3)}, map[string]any{"within": "3m"}, map[string]any{"count": int64(1), "within": "1m"}, []any{}, nil} {
		_, problems := GuardsFrom(map[string]any{"flapping": v})
		require.Len(t, problems, 1, "%v", v)
	}
}

// A bound that Merge forgets would silently not hold.
func TestEveryGuardHasADefaultAndIsMerged(t *testing.T) {
	merged := reflect.ValueOf(Merge(Guards{}, DefaultGuards()))
	for i := range merged.NumField() {
		require.True(t, merged.Field(i).FieldByName("Written").Bool(), merged.Type().Field(i).Name)
	}
	require.Len(t, GuardNames(), merged.NumField())
}
