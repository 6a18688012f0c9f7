-- Further cards of a student, besides the one in entries. No card is in both: that is checked with every edition.
CREATE TABLE more_cards (
    student TEXT NOT NULL,
    place   INTEGER NOT NULL, -- in their order, from 0
    card    BLOB NOT NULL UNIQUE,
    revoked INTEGER NOT NULL,
    PRIMARY KEY (student, place)
) STRICT, WITHOUT ROWID;

ALTER TABLE entries ADD COLUMN more INTEGER NOT NULL DEFAULT 0; -- how many further cards
ALTER TABLE entries ADD COLUMN preferred_name TEXT; -- null: the given name
ALTER TABLE entries ADD COLUMN seat TEXT; -- null: none is assigned
ALTER TABLE entries ADD COLUMN opted_out INTEGER NOT NULL DEFAULT 0; -- 1: no face is compared, and there is no template
