-- Every key that a box signed with before the one it has now, and where its successor took over.
CREATE TABLE former_key (
    device TEXT NOT NULL REFERENCES device (id),
    public_key TEXT NOT NULL,
    ended_at INTEGER NOT NULL,
    -- Of a hand-over: the last event under this key, and the epoch that its successor began. NULL: the box was enrolled anew.
    epoch TEXT,
    seq INTEGER,
    hash BLOB,
    next_epoch TEXT,
    PRIMARY KEY (device, public_key)
) STRICT;

CREATE TRIGGER key_ended AFTER UPDATE OF signing_key ON device
WHEN OLD.signing_key IS NOT NULL AND OLD.signing_key IS NOT NEW.signing_key
BEGIN
    INSERT OR REPLACE INTO former_key (device, public_key, ended_at)
    VALUES (OLD.id, OLD.signing_key, max(NEW.added_at, coalesce(NEW.enrolled_at, 0)));
END;

-- Until when a box may hand over to another signing key.
ALTER TABLE device ADD COLUMN rotate_until INTEGER;
