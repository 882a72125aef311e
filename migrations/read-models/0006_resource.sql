-- Lists of devices: by id, byte for byte whatever the database's collation, and by when they reported
-- last.

DROP VIEW resources;

ALTER TABLE resource_rows ALTER COLUMN id TYPE text COLLATE "C";

-- By the minute: an index of updated_at itself would be written with every event, and the row's other
-- index with it. This one is left alone by all events of a minute but the first.
ALTER TABLE resource_rows ADD COLUMN updated_minute timestamptz
    GENERATED ALWAYS AS (date_bin('1 minute', updated_at, '2000-01-01 00:00:00+00')) STORED;
CREATE INDEX resource_rows_updated ON resource_rows (updated_minute, id);
COMMENT ON COLUMN resource_rows.updated_minute IS 'The minute of updated_at, by which lists are read';

CREATE VIEW resources AS
SELECT r.id, r.payload, r.version, r.occurred_at, r.recorded_at, r.updated_at, r.log_epoch, r.log_offset
FROM resource_rows r
WHERE r.generation = (SELECT g.generation FROM generations g
                      WHERE g.projection = 'resource' AND g.state = 'active');

COMMENT ON VIEW resources IS 'The latest state of every device';
COMMENT ON COLUMN resources.id IS 'The device id';
COMMENT ON COLUMN resources.payload IS 'What the device reported last, as it was written';
COMMENT ON COLUMN resources.version IS 'How many distinct events of the device were folded';
COMMENT ON COLUMN resources.occurred_at IS 'When the last event happened, by the device''s clock';
COMMENT ON COLUMN resources.recorded_at IS 'When the last event was taken into the log';
COMMENT ON COLUMN resources.updated_at IS 'Log time of the newest event that was folded into this row';
