-- Whom a student looks like, by their numbers, the nearest first. They may sit in rooms that this roster does not hold.
CREATE TABLE look_alikes (
    student TEXT NOT NULL,
    place   INTEGER NOT NULL,
    other   TEXT NOT NULL,
    PRIMARY KEY (student, place)
) STRICT, WITHOUT ROWID;

ALTER TABLE entries ADD COLUMN look_alikes INTEGER NOT NULL DEFAULT 0; -- how many
