-- Every event once, by its place; never altered.
CREATE TABLE event (
    device TEXT NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL,
    body BLOB NOT NULL,
    committed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (device, epoch, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX event_id ON event (device, id);

-- Up to where a life of a box is without gap and its chain holds: what receipts say.
CREATE TABLE life (
    device TEXT NOT NULL,
    epoch BLOB NOT NULL,
    contiguous INTEGER NOT NULL,
    PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;

-- What a box that is whole never does. Somebody has to look.
CREATE TABLE alarm (
    device TEXT NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    what TEXT NOT NULL,
    first_seen TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (device, epoch, seq, what)
) STRICT, WITHOUT ROWID;
