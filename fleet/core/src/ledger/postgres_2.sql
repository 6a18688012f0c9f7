-- Who collects. Times are by this server's clock.
CREATE TABLE lease (
    one boolean PRIMARY KEY CHECK (one),
    token bigint NOT NULL,    -- rises whenever the lease changes hands; a commit is taken with the newest only
    holder bytea NOT NULL,    -- a run of a collector
    name text COLLATE "C" NOT NULL, -- for people: machine and process
    renewed_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL
);
