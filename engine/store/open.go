package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	sqlite3 "modernc.org/sqlite/lib"
)

// open takes the lock first: everything after it may rely on being alone.
func (s *SQLite) open(ctx context.Context) error {
	path, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("its folder: %w: create it first", err)
	}
	if s.lock, err = lockFile(path); err != nil {
		return err
	}
	isNew, err := private(path)
	if err != nil {
		return err
	}
	conn, err := s.openWriter(ctx, path, isNew)
	if err != nil {
		return err
	}
	s.read, err = sql.Open("sqlite", dsn(path, s.opts, "_query_only", "1"))
	if err != nil {
		return err
	}
	s.read.SetMaxOpenConns(s.opts.Readers)
	s.read.SetMaxIdleConns(s.opts.Readers)
	s.queue = newQueue(s.opts.Queue)
	s.hands = &committer{queue: s.queue, writer: newWriter(conn, s.opts), batch: s.opts.Batch, done: make(chan struct{})}
	return nil
}

// openWriter opens the one connection that writes and brings the file to the newest form.
func (s *SQLite) openWriter(ctx context.Context, path string, isNew bool) (*sql.Conn, error) {
	durability := "FULL"
	if s.opts.Volatile {
		durability = "OFF"
	}
	settings := []string{"_txlock", "immediate", "_journal_mode", "WAL", "_synchronous", durability,
		"_pragma", "cache_size(-16000)", "_pragma", "wal_autocheckpoint(4000)", "_pragma", "journal_size_limit(67108864)",
		"_pragma", "temp_store(MEMORY)"} // savepoints keep their before-images in memory
	if isNew {
		settings = append(settings, "_auto_vacuum", "INCREMENTAL") // it writes, so a file that is refused must not meet it
	}
	var err error
	s.db, err = sql.Open("sqlite", dsn(path, s.opts, settings...))
	if err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	steps, err := migrations()
	if err == nil {
		err = migrate(ctx, conn, steps, s.opts.Now().UnixNano())
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// private creates the file, readable by its owner alone: histories hold what alerts say and what people decided.
// It says whether the file is still empty.
func private(path string) (isNew bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	return info.Size() == 0, f.Close()
}

// dsn names the file for the driver. The path is escaped: a name may hold any sign.
func dsn(path string, opts Options, settings ...string) string {
	q := url.Values{"_busy_timeout": {fmt.Sprint(opts.Busy.Milliseconds())}}
	for i := 0; i+1 < len(settings); i += 2 {
		q.Add(settings[i], settings[i+1])
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String()
}

// explain says what to do about a file that cannot be opened.
func explain(err error) error {
	switch {
	case isSQLite(err, sqlite3.SQLITE_NOTADB):
		return fmt.Errorf("%w: it is no database, or its beginning is damaged: restore a backup, or name another file", err)
	case isSQLite(err, sqlite3.SQLITE_CORRUPT):
		return fmt.Errorf("%w: it is damaged: restore a backup", err)
	case isSQLite(err, sqlite3.SQLITE_READONLY), isSQLite(err, sqlite3.SQLITE_CANTOPEN):
		return fmt.Errorf("%w: the file and its folder must be writable", err)
	}
	return err
}

// release closes what was opened, readers first, so that the writer is the last and tidies the write-ahead log up.
func (s *SQLite) release() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.hands != nil {
		errs = append(errs, s.hands.writer.close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}
