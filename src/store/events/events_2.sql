-- What proctors do, taken out of the body: a ruling's verdict, and which ruling an undo takes back.
ALTER TABLE events ADD COLUMN ruling TEXT CHECK (ruling IN ('admit', 'admit_by_hand', 'refuse'));
ALTER TABLE events ADD COLUMN undoes BLOB;

CREATE INDEX ruling_of_student ON events (exam, student, seq) WHERE ruling IS NOT NULL;
CREATE INDEX ruling_of_card ON events (card, seq) WHERE ruling IS NOT NULL;
CREATE UNIQUE INDEX undone_once ON events (undoes) WHERE undoes IS NOT NULL;
