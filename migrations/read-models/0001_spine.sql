-- What every projection needs: which generation serves, where each partition stands, what was seen.
-- Objects are unqualified: the step that migrates sets the search path to the schema it fills.

-- What the deploy steps recorded and processes read at start.
CREATE TABLE topics (
    topic      text        NOT NULL,
    epoch      integer     NOT NULL,
    partitions integer     NOT NULL CHECK (partitions > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, epoch)
);
COMMENT ON TABLE topics IS 'Topics as created: a different partition count in the cluster is refused';

CREATE TABLE schema_ids (
    subject     text        NOT NULL,
    record_name text        NOT NULL,
    version     integer     NOT NULL,
    schema_id   integer     NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, version)
);
COMMENT ON TABLE schema_ids IS 'Ids that the schema registry gave our schemas when they were registered';

CREATE TABLE generations (
    projection text        NOT NULL,
    generation integer     NOT NULL,
    state      text        NOT NULL CHECK (state IN ('active', 'building', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, generation)
);
CREATE UNIQUE INDEX generations_one_active ON generations (projection) WHERE state = 'active';
COMMENT ON TABLE generations IS 'Complete builds of each projection; readers see the active one';

CREATE TABLE positions (
    projection       text        NOT NULL,
    generation       integer     NOT NULL,
    topic            text        NOT NULL,
    epoch            integer     NOT NULL,
    partition        integer     NOT NULL,
    next_offset      bigint      NOT NULL DEFAULT 0 CHECK (next_offset >= 0),
    last_record      bytea,
    last_log_time    timestamptz,
    parked_keys      integer     NOT NULL DEFAULT 0 CHECK (parked_keys >= 0),
    owner            text,
    cache_generation bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, generation, topic, epoch, partition),
    FOREIGN KEY (projection, generation) REFERENCES generations
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE positions IS 'Next offset to fold, moved in the transaction that folds: the fence';
COMMENT ON COLUMN positions.last_record IS 'Offset and fingerprint of the record folded last, by which a recreated topic is known';

CREATE TABLE seen (
    projection text        NOT NULL,
    generation integer     NOT NULL,
    event_id   uuid        NOT NULL,
    partition  integer     NOT NULL,
    body_hash  bytea       NOT NULL,
    log_time   timestamptz NOT NULL,
    PRIMARY KEY (projection, generation, event_id)
);
CREATE INDEX seen_log_time ON seen USING brin (log_time);
COMMENT ON TABLE seen IS 'Events that clients named themselves: a second one has no effect for 7 days of log time';
