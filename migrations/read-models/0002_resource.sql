-- The latest state of every device, one partition of rows for each generation.

CREATE TABLE resource_rows (
    generation  integer     NOT NULL,
    id          text        NOT NULL,
    payload     json        NOT NULL,
    version     bigint      NOT NULL,
    occurred_at timestamptz,
    recorded_at timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    log_epoch   integer     NOT NULL,
    log_offset  bigint      NOT NULL,
    batch_start bigint      NOT NULL,
    PRIMARY KEY (generation, id)
) PARTITION BY LIST (generation);

CREATE TABLE resource_rows_1 PARTITION OF resource_rows FOR VALUES IN (1)
    WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);

COMMENT ON COLUMN resource_rows.batch_start IS
    'Offset of the device''s first event in the batch that wrote the row: an upsert sees by it whether a batch overlaps the row';

INSERT INTO generations (projection, generation, state) VALUES ('resource', 1, 'active');

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
