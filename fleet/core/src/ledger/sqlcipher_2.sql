-- One event may have several places: a box that was set back sends what waits again in a new epoch. So events and places
-- are kept apart. Two events at one place show that a chain forked; both are kept.
CREATE TABLE recorded (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    body BLOB NOT NULL,
    committed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
CREATE INDEX recorded_id ON recorded (id);

CREATE TABLE place (
    device TEXT NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    prev BLOB NOT NULL,
    event INTEGER NOT NULL REFERENCES recorded (n),
    in_line INTEGER NOT NULL DEFAULT 0, -- 1: the chain reaches it without a gap, and receipts cover it
    PRIMARY KEY (device, epoch, seq, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX place_event ON place (event);

-- Up to where an epoch of a box is without gap and its chain holds: what receipts say.
CREATE TABLE epoch (
    device TEXT NOT NULL,
    epoch BLOB NOT NULL,
    contiguous INTEGER NOT NULL,
    head BLOB NOT NULL,   -- the link at `contiguous`
    gap_since TEXT,       -- since when the next event is missing although later ones are here
    PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX epoch_name ON epoch (epoch);

-- What somebody has to look at. One row for each box, epoch and kind.
CREATE TABLE incident (
    device TEXT NOT NULL,
    epoch BLOB NOT NULL,
    what TEXT NOT NULL,
    first_event INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    first_seen TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    last_seen TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    ended_at TEXT,        -- of a gap that was filled
    PRIMARY KEY (device, epoch, what)
) STRICT, WITHOUT ROWID;

INSERT INTO recorded (id, body, committed_at) SELECT id, body, committed_at FROM event ORDER BY device, epoch, seq;
INSERT INTO place (device, epoch, seq, hash, prev, event, in_line)
    SELECT e.device, e.epoch, e.seq, e.hash, e.prev, r.n, e.seq <= coalesce(l.contiguous, 0)
    FROM event AS e JOIN recorded AS r ON r.id = e.id AND r.body = e.body
    LEFT JOIN life AS l ON l.device = e.device AND l.epoch = e.epoch;
INSERT INTO epoch (device, epoch, contiguous, head)
    SELECT l.device, l.epoch, l.contiguous, e.hash FROM life AS l
    JOIN event AS e ON e.device = l.device AND e.epoch = l.epoch AND e.seq = l.contiguous;
INSERT INTO incident (device, epoch, what, first_event, last_event, first_seen, last_seen)
    SELECT device, epoch, CASE what WHEN 'name_reused' THEN what ELSE 'forked' END, min(seq), max(seq), min(first_seen), max(first_seen)
    FROM alarm GROUP BY 1, 2, 3;
DROP TABLE event;
DROP TABLE life;
DROP TABLE alarm;
