-- A box of the fleet, from the moment it is expected.
CREATE TABLE device (
    id TEXT PRIMARY KEY NOT NULL,
    room TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('added', 'enrolled', 'revoked')),
    signing_key TEXT,
    added_at INTEGER NOT NULL,
    enrolled_at INTEGER,
    revoked_at INTEGER
) STRICT;

-- The newest one-time code of a box: what verifies requests and signs answers, not the code.
CREATE TABLE code (
    id BLOB PRIMARY KEY NOT NULL,
    device TEXT NOT NULL UNIQUE REFERENCES device (id),
    requests TEXT NOT NULL,
    answers BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    tries_left INTEGER NOT NULL,
    used_by BLOB
) STRICT;

-- Every certificate that a box ever got.
CREATE TABLE certificate (
    serial BLOB PRIMARY KEY NOT NULL,
    device TEXT NOT NULL REFERENCES device (id),
    fingerprint BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX certificate_of ON certificate (device);

-- What rosters can be sealed to.
CREATE TABLE prekey (
    device TEXT NOT NULL REFERENCES device (id),
    recipient TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (device, recipient)
) STRICT, WITHOUT ROWID;

-- The number of the last list of revoked certificates.
CREATE TABLE list (number INTEGER NOT NULL, issued_at INTEGER NOT NULL) STRICT;
INSERT INTO list VALUES (0, 0);
