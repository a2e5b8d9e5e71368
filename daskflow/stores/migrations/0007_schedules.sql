-- Pipelines that are started again and again.

CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    lives INTEGER NOT NULL,
    state TEXT NOT NULL,
    document TEXT NOT NULL,
    created REAL NOT NULL,
    due REAL,
    latest TEXT NOT NULL
);

-- Which run each due time started. These stay when the schedule is removed.
CREATE TABLE schedule_runs (
    schedule TEXT NOT NULL,
    due REAL NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (schedule, due)
);

CREATE INDEX schedule_runs_run ON schedule_runs (run);
