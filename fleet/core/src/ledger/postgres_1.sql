-- A ledger in PostgreSQL, as sqlcipher_2.sql has it, but for bodies: they are sealed before they come here.

-- One row: the schema's number, and a text sealed with the ledger's key, by which another key is noticed.
CREATE TABLE about (
    version integer NOT NULL,
    mark bytea NOT NULL,
    sealed bytea NOT NULL
);
CREATE UNIQUE INDEX about_one ON about ((true));

-- One event may have several places: a box that was set back sends what waits again in a new epoch.
CREATE TABLE recorded (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bytea NOT NULL,
    mark bytea NOT NULL,    -- keyed, of id and body: finds an event that comes again; its start is the seal's nonce
    sealed bytea NOT NULL,  -- the body
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX recorded_id ON recorded (id);

CREATE TABLE place (
    device text COLLATE "C" NOT NULL,
    epoch bytea NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    prev bytea NOT NULL,
    event bigint NOT NULL REFERENCES recorded (n),
    in_line boolean NOT NULL DEFAULT false, -- the chain reaches it without a gap, and receipts cover it
    PRIMARY KEY (device, epoch, seq, hash)
);
CREATE INDEX place_event ON place (event);

-- Up to where an epoch of a box is without gap and its chain holds: what receipts say.
CREATE TABLE epoch (
    device text COLLATE "C" NOT NULL,
    epoch bytea NOT NULL,
    contiguous bigint NOT NULL,
    head bytea NOT NULL,    -- the link at `contiguous`
    gap_since timestamptz,  -- since when the next event is missing although later ones are here
    PRIMARY KEY (device, epoch)
);
CREATE INDEX epoch_name ON epoch (epoch);

-- What somebody has to look at. One row for each box, epoch and kind.
CREATE TABLE incident (
    device text COLLATE "C" NOT NULL,
    epoch bytea NOT NULL,
    what text COLLATE "C" NOT NULL,
    first_event bigint NOT NULL,
    last_event bigint NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,   -- of a gap that was filled
    PRIMARY KEY (device, epoch, what)
);
