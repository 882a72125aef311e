-- Every event of every device: one partition of rows for each generation, and within it one for
-- each month of log time, so that old months are dropped and not deleted.

CREATE TABLE device_history_rows (
    generation  integer     NOT NULL,
    -- Compared byte by byte, whatever the database's collation: a page ends where the next begins.
    device_id   text        COLLATE "C" NOT NULL,
    event_id    uuid        NOT NULL,
    payload     json        NOT NULL,
    occurred_at timestamptz,
    recorded_at timestamptz NOT NULL,
    log_epoch   integer     NOT NULL,
    partition   integer     NOT NULL,
    log_offset  bigint      NOT NULL,
    -- The coordinates in the log make it unique; what stands before them is the order of pages.
    PRIMARY KEY (generation, device_id, recorded_at, log_epoch, partition, log_offset)
) PARTITION BY LIST (generation);

CREATE TABLE device_history_rows_1 PARTITION OF device_history_rows FOR VALUES IN (1)
    PARTITION BY RANGE (recorded_at);

INSERT INTO generations (projection, generation, state) VALUES ('device_history', 1, 'active');

CREATE VIEW device_history AS
SELECT r.device_id, r.event_id, r.payload, r.occurred_at, r.recorded_at, r.log_epoch, r.partition,
       r.log_offset
FROM device_history_rows r
WHERE r.generation = (SELECT g.generation FROM generations g
                      WHERE g.projection = 'device_history' AND g.state = 'active');

COMMENT ON TABLE device_history_rows IS 'Rows of device_history by generation and month; months are made and dropped by the functions *_device_history_*';
COMMENT ON VIEW device_history IS 'Every distinct event of every device, for as many months as are kept';
COMMENT ON COLUMN device_history.device_id IS 'The device';
COMMENT ON COLUMN device_history.event_id IS 'The event''s identity (request_id)';
COMMENT ON COLUMN device_history.payload IS 'What the device reported, as it was written';
COMMENT ON COLUMN device_history.occurred_at IS 'When it happened, by the device''s clock';
COMMENT ON COLUMN device_history.recorded_at IS 'When it was taken into the log: the log time by which months are cut';
COMMENT ON COLUMN device_history.log_epoch IS 'Which life of the topic';
COMMENT ON COLUMN device_history.partition IS 'Partition of its record';
COMMENT ON COLUMN device_history.log_offset IS 'Offset of its record within the partition';

-- The projector folds as a role that owns nothing. What it needs of DDL are these functions, which
-- run as the owner; in them nothing is looked up but in this schema.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION make_device_history_month(generation integer, log_time timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
    month  timestamptz := date_trunc('month', log_time);
    name   text := format('device_history_rows_%s', generation);
    -- With their schema: a temporary table of the same name is none of ours.
    parent text := format('%I.%I', current_schema(), name);
    child  text := format('%I.%I', current_schema(), name || to_char(month, '_YYYYMM'));
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Keeps out only others who make or drop months: readers and folds pass. A table that is made as
    -- a partition at once would lock them out.
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF to_regclass(child) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL)', child, parent);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                   parent, child, month, month + interval '1 month');
END $$;

CREATE FUNCTION make_device_history_months_ahead(generation integer, ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
BEGIN
    FOR n IN 0..ahead LOOP
        PERFORM make_device_history_month(
            generation, date_trunc('month', now()) + make_interval(months => n));
    END LOOP;
END $$;

-- Drops the oldest month that ended more than so many whole months ago, and returns its name; NULL
-- where there is none. One at a time: the lock on the parent keeps readers out for that long.
CREATE FUNCTION drop_device_history_month(generation integer, keep integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
    parent text := format('%I.device_history_rows_%s', current_schema(), generation);
    keeps  integer := to_char(now() - make_interval(months => keep), 'YYYYMM');
    oldest text;
BEGIN
    IF keep < 1 THEN
        RAISE EXCEPTION 'at least one month is kept, not %', keep;
    END IF;
    SELECT c.relname INTO oldest
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
         LATERAL (SELECT substring(c.relname FROM '_([0-9]+)$')::integer AS month) m
    WHERE i.inhparent = to_regclass(parent) AND m.month < keeps
    ORDER BY m.month LIMIT 1;
    IF oldest IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I.%I', current_schema(), oldest);
    END IF;
    RETURN oldest;
END $$;

REVOKE ALL ON FUNCTION make_device_history_month(integer, timestamptz),
                       make_device_history_months_ahead(integer, integer),
                       drop_device_history_month(integer, integer) FROM PUBLIC;

SELECT make_device_history_months_ahead(1, 2);
