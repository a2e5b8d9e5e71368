-- Where attempts were made, and what they could use of it.

ALTER TABLE attempts ADD COLUMN place TEXT NOT NULL DEFAULT '';

ALTER TABLE attempts ADD COLUMN cores INTEGER NOT NULL DEFAULT 0;

ALTER TABLE attempts ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;

ALTER TABLE attempts ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
