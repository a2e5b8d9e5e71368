-- Works in buckets. JSON is text in SQLite.

CREATE TABLE works (
    ordinal SERIAL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL,
    site TEXT NOT NULL,
    username TEXT NOT NULL,
    parent TEXT NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    timeout REAL NOT NULL,
    final INTEGER NOT NULL,
    locked INTEGER NOT NULL,
    creation REAL NOT NULL,
    start REAL,
    stop REAL,
    expires REAL,
    holder TEXT NOT NULL,
    payload JSON NOT NULL,
    outcome JSON
);

CREATE INDEX works_queue ON works (pipeline, priority DESC, ordinal) WHERE status = 'queued';

CREATE INDEX works_standing ON works (pipeline, status, ordinal);

CREATE INDEX works_leases ON works (expires) WHERE status = 'running';

-- By what works are found: their events and tags.
CREATE TABLE works_marks (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    work INTEGER NOT NULL,
    PRIMARY KEY (kind, value, work)
);

CREATE INDEX works_marks_work ON works_marks (work);
