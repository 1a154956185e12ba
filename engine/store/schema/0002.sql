-- The configurations that were in force, by their digest: what a ledger line or an event of that time was judged by.
CREATE TABLE configurations (
  digest TEXT    NOT NULL PRIMARY KEY,
  at     INTEGER,          -- when it was first in force
  turn   INTEGER NOT NULL, -- grows each time one comes in force: the highest is the newest
  body   BLOB    NOT NULL
);

-- The ledger gets the digest as a column, before what is long: compaction asks for it without reading the lines.
ALTER TABLE deliveries RENAME TO deliveries_1;
CREATE TABLE deliveries (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  at     INTEGER,
  config TEXT NOT NULL,
  entry  TEXT NOT NULL, -- JSON
  body   BLOB
);
INSERT INTO deliveries (id, at, config, entry, body)
  SELECT id, at, coalesce(json_extract(entry, '$.config'), ''), entry, body FROM deliveries_1 ORDER BY id;
DROP TABLE deliveries_1;
