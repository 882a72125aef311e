-- Decisions: made in one transaction each, published from here, and what keeps them from being made twice.
-- Objects are unqualified: the step that migrates sets the search path to the schema it fills.

CREATE TABLE streams (
    stream_id      text    PRIMARY KEY,
    version        bigint  NOT NULL CHECK (version > 0),
    last_event_id  uuid    NOT NULL,
    state          text    NOT NULL,
    state_revision integer NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE streams IS 'Where each stream stands: a decision is appended at the version it was made on';
COMMENT ON COLUMN streams.state IS 'The fold of the stream''s events, as JSON; made anew from events where its revision is not the program''s';

CREATE TABLE events (
    number              bigint      GENERATED ALWAYS AS IDENTITY,
    stream_id           text        NOT NULL,
    stream_version      bigint      NOT NULL CHECK (stream_version > 0),
    event_id            uuid        NOT NULL,
    previous_id         uuid,
    topic               text        NOT NULL,
    event_type          text        NOT NULL,
    occurred_at         timestamptz NOT NULL,
    correlation_id      text,
    causation_id        text,
    actor               text,
    traceparent         text,
    changed             text[]      NOT NULL DEFAULT '{}',
    value               bytea       NOT NULL,
    published_partition integer,
    published_offset    bigint,
    PRIMARY KEY (stream_id, stream_version),
    CHECK ((stream_version = 1) = (previous_id IS NULL)),
    CHECK ((published_partition IS NULL) = (published_offset IS NULL))
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX events_event_id ON events (event_id);
CREATE INDEX events_unpublished ON events (number) WHERE published_offset IS NULL;
COMMENT ON TABLE events IS 'Every decided event: history of its stream, and outbox of the log';
COMMENT ON COLUMN events.number IS 'Rises within a stream; between streams it says nothing';
COMMENT ON COLUMN events.changed IS 'Names of what the event changed, never values';
COMMENT ON COLUMN events.value IS 'The record''s value, as the log holds it: personal fields are sealed';
COMMENT ON COLUMN events.published_offset IS 'Where the log holds it; absent until it was acknowledged';

-- Where the log is known to end, for each partition that events were published to.
CREATE TABLE published (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL CHECK (next_offset > 0),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE published IS 'Behind the last record that this store is known to have with all before it: what the log holds from there is compared after a restart';

CREATE TABLE passed_over (
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    log_offset bigint      NOT NULL,
    passed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, log_offset)
);
COMMENT ON TABLE passed_over IS 'Records of somebody else that are no part of any stream: an operator said so, and they are not compared';

CREATE TABLE claims (
    kind      text        NOT NULL,
    digest    bytea       NOT NULL,
    stream_id text        NOT NULL,
    taken_at  timestamptz NOT NULL,
    lapses_at timestamptz,
    PRIMARY KEY (kind, digest),
    UNIQUE (kind, stream_id)
);
COMMENT ON TABLE claims IS 'Reserved unique values, each as a keyed hash: one stream has a value, and a stream one value of a kind';
COMMENT ON COLUMN claims.lapses_at IS 'From then on another stream may take it; absent where it was confirmed or needs no confirmation';

CREATE TABLE requests (
    principal      text        NOT NULL,
    key            text        NOT NULL,
    route          text        NOT NULL,
    body_hash      bytea,
    subject        text,
    answer         bytea,
    stream_id      text,
    stream_version bigint,
    answered_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
CREATE INDEX requests_subject ON requests (subject) WHERE subject IS NOT NULL;
CREATE INDEX requests_answered_at ON requests (answered_at);
COMMENT ON TABLE requests IS 'Answers by the Idempotency-Key of their request; sealed where they hold something of a person';
COMMENT ON COLUMN requests.body_hash IS 'Keyed hash of the request''s body; absent, with the answer, once its subject was erased';

CREATE TABLE mails (
    id             uuid        PRIMARY KEY,
    kind           text        NOT NULL,
    stream_id      text        NOT NULL,
    stream_version bigint      NOT NULL,
    attempts       integer     NOT NULL DEFAULT 0,
    next_try_at    timestamptz NOT NULL DEFAULT now(),
    taken_until    timestamptz,
    settled_at     timestamptz,
    outcome        text
);
CREATE INDEX mails_due ON mails (next_try_at) WHERE settled_at IS NULL;
CREATE INDEX mails_settled ON mails (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX mails_stream ON mails (stream_id);
COMMENT ON TABLE mails IS 'Mails that decisions cause: to whom and what is read from the event when it is sent';
COMMENT ON COLUMN mails.taken_until IS 'Until then a process is about to send it, and nobody sends another one of the stream; absent once it was given back or settled';

CREATE TABLE standing (
    only_row     boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    compared_run timestamptz,
    log_ahead    bigint      NOT NULL DEFAULT 0,
    rested       boolean     NOT NULL DEFAULT false,
    claim_key    bytea
);
INSERT INTO standing DEFAULT VALUES;
COMMENT ON TABLE standing IS 'Whether decisions may be made';
COMMENT ON COLUMN standing.compared_run IS 'The run of Postgres in which the log was compared with this store: in another one nothing is decided';
COMMENT ON COLUMN standing.log_ahead IS 'Records of the log that the store did not know when they were compared last';
COMMENT ON COLUMN standing.rested IS 'The last relay ended with nothing under way, and none has begun since';
COMMENT ON COLUMN standing.claim_key IS 'What the key of claims is known by: under another key the claims would protect nothing';
