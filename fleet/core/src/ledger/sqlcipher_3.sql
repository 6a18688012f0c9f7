-- Who collects. Times are milliseconds since 1970 by this machine's clock.
CREATE TABLE lease (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    token INTEGER NOT NULL,   -- rises whenever the lease changes hands; a commit is taken with the newest only
    holder BLOB NOT NULL,     -- a run of a collector
    name TEXT NOT NULL,       -- for people: machine and process
    renewed_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) STRICT;
