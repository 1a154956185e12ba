package ruletest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOffsetsAreReadAndShown(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0m": 0, "30s": 30 * time.Second, "4m59s": 4*time.Minute + 59*time.Second, "2d": 48 * time.Hour, "-2d": -48 * time.Hour,
		"1d12h": 36 * time.Hour, "-20m": -20 * time.Minute, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond, "0d": 0,
	} {
		got, ok := parseOffset(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-", "5", "d", "1dd", "+5m", "--5m", "5m-3s", "2d-3h", "1x", "99999d", "1d2d", "ten"} {
		_, ok := parseOffset(text)
		require.False(t, ok, text)
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 5 * time.Minute: "5m", 4*time.Minute + 59*time.Second: "4m59s", 2 * time.Hour: "2h", 48 * time.Hour: "2d", 49*time.Hour + time.Second: "2d1h0m1s",
		-20 * time.Minute: "-20m", 1500 * time.Millisecond: "1.5s",
	} {
		require.Equal(t, want, OffsetText(d))
	}
}

// A written value is sampled so often that a proof over fifteen-second steps finds no gap.
func TestWrittenValuesAreScraped(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		time.Minute: 15 * time.Second, 15 * time.Second: 15 * time.Second, 10 * time.Second: 10 * time.Second, time.Second: time.Second, 7 * time.Minute: 15 * time.Second, 50 * time.Second: 10 * time.Second,
	} {
		require.Equal(t, want, scrape(interval), interval)
	}
}
