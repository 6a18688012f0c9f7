-- The epochs of this box's events. Events are numbered on over the epochs; on the wire each epoch counts from 1.
CREATE TABLE epochs (
    n        INTEGER PRIMARY KEY, -- 1, 2, 3 …; the highest is the current one
    epoch    BLOB NOT NULL UNIQUE,
    device   TEXT,                -- NULL until a store of the schema before is opened
    after    INTEGER NOT NULL,    -- event after + 1 is number 1 of the epoch
    resealed INTEGER NOT NULL,    -- events up to here were recorded in an earlier epoch; their link is in resealed
    cause    TEXT CHECK (cause IN ('set_back', 'new_id')),
    begun_at TEXT                 -- by the wall clock
) STRICT;
INSERT INTO epochs (n, epoch, after, resealed) SELECT 1, epoch, 0, 0 FROM life;
DROP TABLE life;

-- Links of events in an epoch that is not the one they were recorded in.
CREATE TABLE resealed (
    n    INTEGER NOT NULL, -- of the epoch
    seq  INTEGER NOT NULL REFERENCES events (seq),
    prev BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (n, seq)
) STRICT, WITHOUT ROWID;

-- The number of events alone bounds the outbox.
ALTER TABLE outbox DROP COLUMN bytes;
ALTER TABLE outbox DROP COLUMN total;
