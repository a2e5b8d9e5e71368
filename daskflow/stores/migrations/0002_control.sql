-- Runs within runs, what runs ask people, and what their stages share.

ALTER TABLE runs ADD COLUMN parent TEXT NOT NULL DEFAULT '';

ALTER TABLE runs ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;

CREATE INDEX runs_parent ON runs (parent, ordinal);

CREATE TABLE questions (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    key TEXT NOT NULL,
    prompt TEXT NOT NULL,
    form TEXT NOT NULL,
    preset TEXT,
    created REAL NOT NULL,
    deadline REAL,
    state TEXT NOT NULL,
    answer TEXT,
    note TEXT NOT NULL,
    answered REAL,
    accepted REAL,
    who TEXT NOT NULL
);

CREATE INDEX questions_run ON questions (run, created);

CREATE INDEX questions_open ON questions (created) WHERE state = 'open';

-- A turn orders the changes of a run; an epoch tells which execution of it made, or made again, a change.
CREATE TABLE context (
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    stage TEXT NOT NULL,
    version INTEGER NOT NULL,
    epoch REAL NOT NULL,
    turn INTEGER NOT NULL,
    time REAL NOT NULL,
    content TEXT NOT NULL,
    digest TEXT NOT NULL,
    format TEXT NOT NULL,
    size INTEGER NOT NULL,
    value TEXT NOT NULL,
    inline BLOB,
    PRIMARY KEY (run, name, stage, version)
);

CREATE INDEX context_turn ON context (run, turn);
