CREATE TABLE exam (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    id      TEXT NOT NULL,
    title   TEXT NOT NULL,
    opens   TEXT NOT NULL,
    closes  TEXT NOT NULL,
    version INTEGER NOT NULL,
    content BLOB NOT NULL -- SHA-256 over all of it
) STRICT;

-- Kept in the order of cards: finding one reads one page off the path that the cache holds.
CREATE TABLE entries (
    card       BLOB PRIMARY KEY,
    student    TEXT NOT NULL UNIQUE,
    given_name TEXT NOT NULL,
    revoked    INTEGER NOT NULL,
    room       TEXT NOT NULL,
    templates  INTEGER NOT NULL -- how many
) STRICT, WITHOUT ROWID;

CREATE TABLE templates (
    student   TEXT NOT NULL,
    place     INTEGER NOT NULL, -- in the order they were enrolled
    space     TEXT NOT NULL,
    artifact  BLOB NOT NULL,
    embedding BLOB NOT NULL, -- 32-bit floats, little endian
    PRIMARY KEY (student, place)
) STRICT, WITHOUT ROWID;
