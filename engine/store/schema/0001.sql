-- Every fact of every history, in the order it was stored. Times are UTC nanoseconds; a zero time is NULL.
CREATE TABLE events (
  stream  TEXT    NOT NULL,
  version INTEGER NOT NULL,
  type    TEXT    NOT NULL,
  schema  INTEGER NOT NULL,
  at      INTEGER,
  told_by TEXT    NOT NULL,
  config  TEXT    NOT NULL,
  fact    TEXT    NOT NULL, -- JSON
  hash    TEXT    NOT NULL, -- incident.Chain over this row and the hash before it
  PRIMARY KEY (stream, version)
);

-- What lists show of an incident, and the tip of its chain. It stays when the history is compacted.
CREATE TABLE heads (
  stream       TEXT    NOT NULL PRIMARY KEY,
  target       TEXT    NOT NULL,
  open         INTEGER NOT NULL, -- not in a final phase
  live         INTEGER NOT NULL, -- something is still to be done
  opened_at    INTEGER,
  ended_at     INTEGER,
  head         TEXT    NOT NULL, -- JSON
  version      INTEGER NOT NULL, -- the tip: the last version and its hash
  hash         TEXT    NOT NULL,
  compacted_at INTEGER           -- when the events were removed
);
CREATE INDEX heads_opened ON heads (opened_at);
CREATE INDEX heads_target ON heads (target, opened_at);
CREATE INDEX heads_busy   ON heads (opened_at) WHERE live = 1 OR open = 1;
CREATE INDEX heads_ended  ON heads (ended_at) WHERE compacted_at IS NULL AND ended_at IS NOT NULL;

-- Places held in what spans incidents. The primary key is what makes two holders of one place impossible.
CREATE TABLE claims (
  pool   TEXT    NOT NULL,
  place  INTEGER NOT NULL,
  holder TEXT    NOT NULL, -- the stream
  token  INTEGER NOT NULL,
  since  INTEGER NOT NULL,
  until  INTEGER,          -- NULL: until released
  PRIMARY KEY (pool, place)
) WITHOUT ROWID;

-- Numbers that outlive what they count: the last token given, and how many events are stored.
CREATE TABLE counters (
  name  TEXT    NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('token', 0), ('events', 0);

-- The ledger of deliveries, bounded by rows and age.
CREATE TABLE deliveries (
  id    INTEGER PRIMARY KEY AUTOINCREMENT,
  at    INTEGER,
  entry TEXT NOT NULL, -- JSON
  body  BLOB
);

-- Written and removed by the health check.
CREATE TABLE health (
  id   INTEGER PRIMARY KEY,
  mark INTEGER NOT NULL,
  room BLOB NOT NULL
);
