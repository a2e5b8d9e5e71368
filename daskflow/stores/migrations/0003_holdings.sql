-- What the journal needs of the artifact store, and how the journal is told from others.

-- The stored value with one digest mentions an object with another.
CREATE TABLE holdings (
    value TEXT NOT NULL,
    object TEXT NOT NULL,
    PRIMARY KEY (value, object)
);

CREATE INDEX holdings_object ON holdings (object);

-- The results whose bytes lie in the artifact store.
CREATE INDEX results_apart ON results (digest, format) WHERE inline IS NULL;

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
