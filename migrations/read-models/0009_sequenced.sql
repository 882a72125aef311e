-- Decided events are folded in the order of their versions: what was folded of each stream, and where
-- in its stream the event of a letter stands.

CREATE TABLE stream_events (
    projection text    NOT NULL,
    generation integer NOT NULL,
    stream_id  text    NOT NULL,
    version    bigint  NOT NULL CHECK (version > 0),
    event_id   uuid    NOT NULL,
    PRIMARY KEY (projection, generation, stream_id, version)
);
COMMENT ON TABLE stream_events IS 'Decided events that were folded, or passed over since their letter was discarded: the next of a stream is one version higher and names the last';

ALTER TABLE letters ADD COLUMN stream_version bigint,
                    ADD COLUMN event_id uuid,
                    ADD COLUMN previous_id uuid,
                    ADD CHECK ((stream_version IS NULL) = (event_id IS NULL));
COMMENT ON COLUMN letters.stream_version IS 'Version of a decided event in its stream; absent for a fact and for what could not be read';
COMMENT ON COLUMN letters.previous_id IS 'The event before a decided event, as it says';

-- Asked where a version is missing, and whether an event was discarded under another record.
CREATE INDEX letters_discarded ON letters (projection, generation, stream_id, stream_version)
    WHERE state = 'discarded';
