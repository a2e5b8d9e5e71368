-- What a journal remembers. Types are words that a dialect may replace.

CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied REAL NOT NULL
);

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    flow TEXT NOT NULL,
    target TEXT NOT NULL,
    arguments TEXT NOT NULL,
    state TEXT NOT NULL,
    site TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    stopped REAL,
    heartbeat REAL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    error TEXT NOT NULL,
    payload BLOB
);

CREATE INDEX runs_created ON runs (created, id);

CREATE TABLE jobs (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    task TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    recipe TEXT NOT NULL,
    upstream TEXT NOT NULL,
    site TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, number)
);

CREATE INDEX jobs_task ON jobs (task, run);

CREATE TABLE attempts (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    start REAL NOT NULL,
    stop REAL NOT NULL,
    cpu REAL NOT NULL,
    memory INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    error_type TEXT NOT NULL,
    error_message TEXT NOT NULL,
    traceback TEXT NOT NULL,
    log_file TEXT NOT NULL,
    log_start INTEGER NOT NULL,
    log_stop INTEGER NOT NULL,
    PRIMARY KEY (run, number, attempt)
);

-- The bytes stand last: a look-up that does not ask for them never touches their pages.
CREATE TABLE results (
    key TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    form TEXT,
    inputs TEXT,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    format TEXT NOT NULL,
    run TEXT NOT NULL,
    created REAL NOT NULL,
    seconds REAL NOT NULL,
    memory INTEGER NOT NULL,
    inline BLOB
);

CREATE INDEX results_form ON results (form, created, key) WHERE inputs IS NOT NULL;

CREATE TABLE durations (
    task TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    mean REAL NOT NULL
);

CREATE TABLE fingerprints (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    parts TEXT NOT NULL
);

CREATE TABLE reports (
    key TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    data TEXT NOT NULL,
    content BLOB,
    task TEXT NOT NULL,
    time REAL NOT NULL,
    PRIMARY KEY (key, ordinal)
);

CREATE TABLE events (
    ordinal SERIAL PRIMARY KEY,
    run TEXT NOT NULL,
    kind TEXT NOT NULL,
    time REAL NOT NULL,
    key TEXT NOT NULL,
    data TEXT NOT NULL
);

CREATE INDEX events_run ON events (run, ordinal);

CREATE TABLE file_digests (
    path TEXT PRIMARY KEY,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest TEXT NOT NULL
);
