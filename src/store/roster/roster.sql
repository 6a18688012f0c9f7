CREATE TABLE exam (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    id      TEXT NOT NULL,
    title   TEXT NOT NULL,
    opens   TEXT NOT NULL,
    closes  TEXT NOT NULL,
    version INTEGER NOT NULL,
    content BLOB NOT NULL -- SHA-256 over all of it
) STRICT;

CREATE TABLE entries (
    id         INTEGER PRIMARY KEY,
    student    TEXT NOT NULL UNIQUE,
    given_name TEXT NOT NULL,
    card       BLOB NOT NULL UNIQUE,
    revoked    INTEGER NOT NULL,
    room       TEXT NOT NULL
) STRICT;

CREATE TABLE templates (
    entry     INTEGER NOT NULL REFERENCES entries (id),
    ordinal   INTEGER NOT NULL,
    space     TEXT NOT NULL,
    artifact  BLOB NOT NULL,
    embedding BLOB NOT NULL, -- 32-bit floats, little endian
    UNIQUE (entry, ordinal)
) STRICT;
