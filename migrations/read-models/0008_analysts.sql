-- What analysts read: views, so that rows of other builds and what only operators need stay away.

-- All devices of an hour or a day. Rows come in nearly the order of the log, so that a few bytes for
-- each range of pages tell where to look; inserts hardly notice.
CREATE INDEX device_history_rows_recorded ON device_history_rows
    USING brin (recorded_at) WITH (pages_per_range = 32, autosummarize = on);

-- The column that the index of lists is on.
CREATE OR REPLACE VIEW resources AS
SELECT r.id, r.payload, r.version, r.occurred_at, r.recorded_at, r.updated_at, r.log_epoch, r.log_offset,
       r.updated_minute
FROM resource_rows r
WHERE r.generation = (SELECT g.generation FROM generations g
                      WHERE g.projection = 'resource' AND g.state = 'active');
COMMENT ON COLUMN resources.log_epoch IS 'Which life of the topic the last event was read from';
COMMENT ON COLUMN resources.log_offset IS 'Offset of the last event within its partition';
COMMENT ON COLUMN resources.updated_minute IS 'The minute of updated_at: indexed, so filter and sort by it';

CREATE VIEW dead_letters AS
SELECT l.id, l.projection, l.topic, l.epoch AS log_epoch, l.partition, l.log_offset, l.log_time,
       l.stream_id, l.state, l.error_class, l.error_code, l.attempts, l.first_failed_at,
       l.last_tried_at, l.settled_at
FROM letters l
WHERE EXISTS (SELECT FROM generations g
              WHERE g.projection = l.projection AND g.generation = l.generation AND g.state = 'active');
COMMENT ON VIEW dead_letters IS 'Events that a view does not show since they could not be folded, and what became of each; without their content';
COMMENT ON COLUMN dead_letters.id IS 'The letter, as operators name it';
COMMENT ON COLUMN dead_letters.projection IS 'The view that does not show it: resource, device_history';
COMMENT ON COLUMN dead_letters.topic IS 'Topic of its record';
COMMENT ON COLUMN dead_letters.log_epoch IS 'Which life of the topic';
COMMENT ON COLUMN dead_letters.partition IS 'Partition of its record';
COMMENT ON COLUMN dead_letters.log_offset IS 'Offset of its record within the partition';
COMMENT ON COLUMN dead_letters.log_time IS 'When it was taken into the log';
COMMENT ON COLUMN dead_letters.stream_id IS 'The device; absent where the record has no key or one that is no text';
COMMENT ON COLUMN dead_letters.state IS 'retrying, parked, blocked: not folded yet; applied, superseded, duplicate, discarded: settled';
COMMENT ON COLUMN dead_letters.error_class IS 'What kind of failure set it aside, such as poison';
COMMENT ON COLUMN dead_letters.error_code IS 'The failure itself: a short code';
COMMENT ON COLUMN dead_letters.attempts IS 'How often folding it was tried';
COMMENT ON COLUMN dead_letters.first_failed_at IS 'When it was set aside';
COMMENT ON COLUMN dead_letters.last_tried_at IS 'When it was tried last';
COMMENT ON COLUMN dead_letters.settled_at IS 'When it was settled; absent while it is open';

CREATE VIEW freshness AS
SELECT p.projection, p.topic, p.epoch AS log_epoch, p.partition, p.next_offset,
       p.last_log_time AS folded_until, p.parked_keys AS waiting_streams
FROM positions p
WHERE EXISTS (SELECT FROM generations g
              WHERE g.projection = p.projection AND g.generation = p.generation AND g.state = 'active');
COMMENT ON VIEW freshness IS 'Up to where the log is folded into each view, by partition';
COMMENT ON COLUMN freshness.projection IS 'The view: resource, device_history';
COMMENT ON COLUMN freshness.topic IS 'Topic that is folded';
COMMENT ON COLUMN freshness.log_epoch IS 'Which life of the topic';
COMMENT ON COLUMN freshness.partition IS 'Partition of the topic';
COMMENT ON COLUMN freshness.next_offset IS 'Every event below it is in the view or a dead letter';
COMMENT ON COLUMN freshness.folded_until IS 'Log time of the newest event that was folded; old, too, where nothing was reported since';
COMMENT ON COLUMN freshness.waiting_streams IS 'Devices whose later events wait behind a dead letter';
