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
    room       TEXT NOT NULL,
    templates  INTEGER NOT NULL -- how many
) STRICT;

-- A student's templates lie side by side: `id` is 256 times the entry's, plus their order.
CREATE TABLE templates (
    id        INTEGER PRIMARY KEY,
    space     TEXT NOT NULL,
    artifact  BLOB NOT NULL,
    embedding BLOB NOT NULL -- 32-bit floats, little endian
) STRICT;
