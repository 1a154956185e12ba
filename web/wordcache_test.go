package web

import (
	"fmt"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// A word is found again by how it was written: what one word reads as may be how another is written.
func TestAWordIsFoundByHowItWasWritten(t *testing.T) {
	cache := wordCaches.New().(*wordCache)
	for n := 0x100; n < 0x8100; n++ { // enough for the two to meet in one place
		for written, want := range map[string]string{
			fmt.Sprintf(`"\\u%04x"`, n): fmt.Sprintf(`\u%04x`, n),
			fmt.Sprintf(`"\u%04x"`, n):  string(rune(n)),
		} {
			got, err := cache.read(jsontext.Value(written))
			require.NoError(t, err)
			require.Equal(t, want, got, written)
		}
	}
}
