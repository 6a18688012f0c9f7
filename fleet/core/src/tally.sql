-- What is to be remembered of the telemetry of one box: the newest of its run, and the sums of the runs before.
CREATE TABLE tally (
    device TEXT PRIMARY KEY NOT NULL,
    latest BLOB NOT NULL,
    finished BLOB NOT NULL
) STRICT;
