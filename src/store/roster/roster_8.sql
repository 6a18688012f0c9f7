-- The other boxes of the exam, and the key of what they tell each other. At the desk: all boxes that the roster was pushed to.
CREATE TABLE peer_key (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    key  BLOB NOT NULL
) STRICT;

CREATE TABLE peers (
    device     TEXT PRIMARY KEY,
    room       TEXT NOT NULL,
    students   INTEGER NOT NULL,
    signs_with BLOB NOT NULL -- the public key
) STRICT, WITHOUT ROWID;
