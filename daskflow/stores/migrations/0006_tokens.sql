-- Who may use a server; of a token only the digest is kept.

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    revoked REAL
);

-- What was answered to requests that change something, for those who did not hear the answer and ask again.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    turn TEXT NOT NULL,
    answer TEXT NOT NULL,
    created REAL NOT NULL
);

CREATE INDEX requests_created ON requests (created);
