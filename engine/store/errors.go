package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"astern.dev/astern/engine/incident"
)

// ChainError says that a history is not what was written: an event was changed, removed or put in between (S27).
type ChainError struct {
	Stream  string
	Version int // the first version that does not fit
	Why     string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("the history of %s is broken at version %d: %s; restore a backup, or keep the file as evidence", e.Stream, e.Version, e.Why)
}

// unavailable maps what SQLite says to what a caller can do. Refusals that were judged here pass as they are.
func unavailable(err error) error {
	var fault *sqlite.Error
	switch {
	case err == nil, errors.Is(err, incident.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, sql.ErrConnDone):
		return fmt.Errorf("%w: the store is closed", incident.ErrUnavailable)
	case errors.As(err, &fault):
		return fmt.Errorf("%w: %w%s", incident.ErrUnavailable, err, advice(fault.Code()))
	}
	return err
}

// advice is what a person can do about a result code.
func advice(code int) string {
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return ": make room on the disk; it works again by itself"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ": another program has the file open for writing"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return ": the file is damaged: restore a backup"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return ": the file or its folder cannot be written"
	}
	return ""
}

// isSQLite says whether err is SQLite's word with this primary result code.
func isSQLite(err error, code int) bool {
	var fault *sqlite.Error
	return errors.As(err, &fault) && fault.Code()&0xff == code
}
