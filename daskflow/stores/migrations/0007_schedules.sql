-- Pipelines that are started again and again.

CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    lives INTEGER NOT NULL,
    state TEXT NOT NULL,
    document TEXT NOT NULL,
    created REAL NOT NULL,
    due REAL,
    latest TEXT NOT NULL
);
