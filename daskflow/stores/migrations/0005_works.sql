-- Works in buckets. Their JSON is text everywhere: what PostgreSQL makes of JSON has other numbers.

CREATE TABLE works (
    ordinal SERIAL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL,
    site TEXT NOT NULL,
    username TEXT NOT NULL,
    parent TEXT NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    -- Each withdrawal has a number of its own, by which its agent proves that it holds the work.
    attempt INTEGER NOT NULL,
    given_back INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    timeout REAL NOT NULL,
    final INTEGER NOT NULL,
    locked INTEGER NOT NULL,
    creation REAL NOT NULL,
    start REAL,
    stop REAL,
    -- Since when it waits.
    waiting REAL NOT NULL,
    -- There as long as the agent of the latest attempt has neither ended it nor given it back.
    expires REAL,
    holder TEXT NOT NULL,
    marks TEXT NOT NULL,
    payload TEXT NOT NULL,
    outcome TEXT
);

CREATE INDEX works_queue ON works (pipeline, priority DESC, ordinal, site) WHERE status = 'queued';

CREATE INDEX works_standing ON works (pipeline, status, ordinal);

CREATE INDEX works_of_pipeline ON works (pipeline, ordinal);

-- Heartbeats change nothing in these.
CREATE INDEX works_running ON works (ordinal) WHERE status = 'running';

CREATE INDEX works_again ON works (ordinal)
WHERE status = 'failure' AND final = 0 AND locked = 0 AND retries > attempt - given_back;

CREATE INDEX works_of_parent ON works (parent, ordinal) WHERE parent <> '';

-- By what works are found: their events and tags.
CREATE TABLE works_marks (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    work INTEGER NOT NULL,
    PRIMARY KEY (kind, value, work)
);

CREATE INDEX works_marks_work ON works_marks (work);
