CREATE TABLE life (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    epoch BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    id      BLOB NOT NULL UNIQUE,
    prev    BLOB NOT NULL,
    hash    BLOB NOT NULL,
    body    BLOB NOT NULL, -- the exact JSON that was hashed
    -- What the projections need, taken out of the body:
    at      TEXT NOT NULL,
    exam    TEXT,
    student TEXT,
    card    BLOB,
    effect  TEXT CHECK (effect IN ('admitted', 'failed'))
) STRICT;

CREATE INDEX of_card ON events (card, effect, seq) WHERE card IS NOT NULL AND effect IS NOT NULL;
CREATE INDEX of_student ON events (exam, student) WHERE effect = 'admitted';

CREATE TRIGGER events_are_never_altered BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- What the collector has not yet confirmed. The events stay.
CREATE TABLE outbox (
    seq   INTEGER PRIMARY KEY REFERENCES events (seq),
    bytes INTEGER NOT NULL, -- of this event's body
    total INTEGER NOT NULL  -- running, to know the sum from the two ends
) STRICT;
