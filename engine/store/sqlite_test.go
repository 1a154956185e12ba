package store_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"astern.dev/astern/engine/store"
	"astern.dev/astern/engine/store/storetest"
)

func TestMain(m *testing.M) {
	childMain()
	goleak.VerifyTestMain(m)
}

func TestSQLiteIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Open {
		path := filepath.Join(t.TempDir(), "astern.db")
		return func(t *testing.T, s storetest.Settings) storetest.Store {
			db, err := store.OpenSQLite(t.Context(), path, store.Options{Now: s.Now, LedgerRows: s.LedgerRows, LedgerAge: s.LedgerAge})
			require.NoError(t, err)
			return db
		}
	})
}
