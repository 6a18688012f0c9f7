-- In which sealed bundle one edition came; for another edition, or without a row, it was imported here.
CREATE TABLE bundle (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    content BLOB NOT NULL, -- of the edition, as in exam
    digest  BLOB NOT NULL
) STRICT;
