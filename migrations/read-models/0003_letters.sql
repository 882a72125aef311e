-- Records that a projection could not fold, what waits behind them, and what operators did about it.

CREATE TABLE letters (
    id              uuid        PRIMARY KEY,
    projection      text        NOT NULL,
    generation      integer     NOT NULL,
    topic           text        NOT NULL,
    epoch           integer     NOT NULL,
    partition       integer     NOT NULL,
    log_offset      bigint      NOT NULL,
    log_time        timestamptz NOT NULL,
    stream_id       text,
    key             bytea,
    value           bytea,
    header_names    text[]      NOT NULL DEFAULT '{}',
    header_values   bytea[]     NOT NULL DEFAULT '{}',
    state           text        NOT NULL CHECK (state IN
                        ('retrying', 'parked', 'blocked', 'applied', 'superseded', 'duplicate', 'discarded')),
    error_class     text        NOT NULL,
    error_code      text        NOT NULL,
    error_message   text        NOT NULL,
    attempts        integer     NOT NULL DEFAULT 1,
    first_failed_at timestamptz NOT NULL DEFAULT now(),
    last_tried_at   timestamptz NOT NULL DEFAULT now(),
    next_try_at     timestamptz,
    settled_at      timestamptz,
    UNIQUE (projection, generation, topic, epoch, partition, log_offset),
    FOREIGN KEY (projection, generation) REFERENCES generations,
    CHECK (cardinality(header_names) = cardinality(header_values)),
    CHECK ((state = 'retrying') = (next_try_at IS NOT NULL)),
    CHECK ((state IN ('retrying', 'parked', 'blocked')) = (settled_at IS NULL))
);
CREATE INDEX letters_open ON letters (projection, generation, topic, epoch, partition, stream_id, log_offset)
    WHERE settled_at IS NULL;
CREATE INDEX letters_due ON letters (projection, generation, next_try_at) WHERE state = 'retrying';

COMMENT ON TABLE letters IS 'Records set aside by a projection, with what became of each: the truth; events-dlq holds copies';
COMMENT ON COLUMN letters.stream_id IS 'The key as text; absent where the record has no key or one that is no text';
COMMENT ON COLUMN letters.header_values IS 'Beside header_names; NULL where a header has no value';
COMMENT ON COLUMN letters.state IS 'retrying: tried again by itself; parked: waits for somebody; blocked: waits behind an earlier letter of its key; else settled';

CREATE TABLE letter_tries (
    letter_id     uuid        NOT NULL REFERENCES letters,
    tried_at      timestamptz NOT NULL DEFAULT now(),
    tried_by      text        NOT NULL,
    outcome       text        NOT NULL,
    error_class   text,
    error_code    text,
    error_message text
);
CREATE INDEX letter_tries_letter ON letter_tries (letter_id, tried_at);
COMMENT ON TABLE letter_tries IS 'Every attempt at a letter, the first included';

-- Only for projections that keep the order of a stream: who waits behind whom.
CREATE TABLE parked_keys (
    projection text    NOT NULL,
    generation integer NOT NULL,
    topic      text    NOT NULL,
    epoch      integer NOT NULL,
    partition  integer NOT NULL,
    stream_id  text    NOT NULL,
    head       uuid    NOT NULL REFERENCES letters,
    letters    integer NOT NULL DEFAULT 1 CHECK (letters > 0),
    PRIMARY KEY (projection, generation, topic, epoch, partition, stream_id)
);
COMMENT ON TABLE parked_keys IS 'Streams whose later events wait behind a letter; positions.parked_keys counts them';

-- What is to be told on events-dlq: a row goes in with its letter and is marked once the broker has it.
CREATE TABLE letter_notices (
    letter_id           uuid        PRIMARY KEY REFERENCES letters,
    created_at          timestamptz NOT NULL DEFAULT now(),
    published_at        timestamptz,
    published_partition integer,
    published_offset    bigint,
    attempts            integer     NOT NULL DEFAULT 0,
    next_try_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX letter_notices_unpublished ON letter_notices (next_try_at) WHERE published_at IS NULL;
COMMENT ON TABLE letter_notices IS 'Copies of letters that go to events-dlq, one each';

-- Discards outlive generations: a rebuild honours them.
CREATE TABLE dispositions (
    projection text        NOT NULL,
    topic      text        NOT NULL,
    epoch      integer     NOT NULL,
    partition  integer     NOT NULL,
    log_offset bigint      NOT NULL,
    decided_by text        NOT NULL,
    reason     text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, topic, epoch, partition, log_offset)
);
COMMENT ON TABLE dispositions IS 'Records that somebody decided never to fold';

CREATE TABLE letter_actions (
    id           uuid        PRIMARY KEY,
    acted_at     timestamptz NOT NULL DEFAULT now(),
    acted_by     text        NOT NULL,
    action       text        NOT NULL CHECK (action IN ('replay', 'discard', 'resume')),
    projection   text        NOT NULL,
    letter_id    uuid        REFERENCES letters,
    reason       text,
    outcome      text        NOT NULL
);
CREATE INDEX letter_actions_letter ON letter_actions (letter_id, acted_at);
COMMENT ON TABLE letter_actions IS 'Who did what to which letter or projection, when, why, and what came of it';

ALTER TABLE positions ADD COLUMN last_letter bigint NOT NULL DEFAULT -1,
                      ADD COLUMN folded_to bigint NOT NULL DEFAULT 0;
UPDATE positions SET folded_to = next_offset;
COMMENT ON COLUMN positions.folded_to IS 'The highest next_offset ever: below it every record was folded or is a letter, also after next_offset was set back';
COMMENT ON COLUMN positions.last_letter IS 'Offset of the newest record that was set aside: a batch that begins above it meets no letter';
COMMENT ON COLUMN positions.parked_keys IS 'Streams of the partition that wait behind a letter';

ALTER TABLE generations ADD COLUMN brake text, ADD COLUMN braked_at timestamptz;
COMMENT ON COLUMN generations.brake IS 'Why the projection stopped itself; nothing is folded until somebody resumes it';
