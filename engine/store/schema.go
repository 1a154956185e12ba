package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// migrations are the steps from an empty file to the form this version writes, in order: step n makes version n.
func migrations() ([]string, error) {
	names, err := fs.Glob(schemaFiles, "schema/*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("list schema files: %w", err)
	}
	steps := make([]string, 0, len(names))
	for _, name := range names {
		text, err := schemaFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// migrate brings the file to the newest form in one transaction, or leaves it as it was.
// A file that a newer version wrote, or that is not ours, is refused untouched.
func migrate(ctx context.Context, conn *sql.Conn, steps []string, now int64) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	found, err := schemaVersion(ctx, tx)
	if err != nil {
		return err
	}
	if found > len(steps) {
		return fmt.Errorf("a newer astern wrote it (schema %d, this one knows up to %d): run that version, or restore a backup made by this one", found, len(steps))
	}
	for n := found; n < len(steps); n++ {
		if _, err := tx.ExecContext(ctx, steps[n]); err != nil {
			return fmt.Errorf("bring it from schema %d to %d: %w", n, n+1, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO schema_version (version, applied_at) VALUES (?, ?)`, n+1, now); err != nil {
			return fmt.Errorf("record schema %d: %w", n+1, err)
		}
	}
	return tx.Commit()
}

// schemaVersion reads the version of the file's form: 0 for an empty file, which gets its version table.
func schemaVersion(ctx context.Context, tx *sql.Tx) (int, error) {
	var tables, ours, version int
	err := tx.QueryRowContext(ctx, `SELECT count(*), count(CASE name WHEN 'schema_version' THEN 1 END) FROM sqlite_schema WHERE type = 'table'`).Scan(&tables, &ours)
	if err != nil {
		return 0, err
	}
	if tables > 0 && ours == 0 {
		return 0, fmt.Errorf("it is a SQLite database of another program: name another file")
	}
	if ours == 0 {
		_, err = tx.ExecContext(ctx, `CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)`)
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&version)
	return version, err
}
