-- By the SHA-256 of the photo's file and of everything that makes a template of it.
CREATE TABLE enrolments (
    photo     BLOB NOT NULL,
    recipe    BLOB NOT NULL,
    space     TEXT NOT NULL,
    artifact  BLOB NOT NULL,
    embedding BLOB NOT NULL, -- 32-bit floats, little endian: as it was computed
    findings  TEXT NOT NULL,
    PRIMARY KEY (photo, recipe)
) STRICT, WITHOUT ROWID;
