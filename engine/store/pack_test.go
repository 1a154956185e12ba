package store

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPackComesBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := append([]byte("{"), bytes.Repeat(rapid.SliceOf(rapid.Byte()).Draw(t, "text"), rapid.IntRange(1, 50).Draw(t, "times"))...)
		back, err := unpack(pack(text))
		require.NoError(t, err)
		require.Equal(t, text, back)
	})
}

func TestPackMakesANotificationSmall(t *testing.T) {
	text := bytes.Repeat([]byte(`{"status":"firing","labels":{"alertname":"ErrorRateSpike","service":"api"}},`), 500)
	require.Less(t, len(pack(text)), len(text)/10)
	require.Equal(t, []byte("{}"), pack([]byte("{}")), "a short one stays as it is")
}

func TestUnpackRefusesWhatIsBroken(t *testing.T) {
	_, err := unpack([]byte{packed, 0xff, 0xff, 0xff})
	require.Error(t, err)
}
