-- Cache generations are never used twice, also when this database goes back to an earlier state.

CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;
COMMENT ON FUNCTION now_ms() IS 'Milliseconds since 1970, by the clock and not by the transaction';

CREATE FUNCTION next_cache_generation(bigint) RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE AS
$$ SELECT greatest($1 + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) $$;
COMMENT ON FUNCTION next_cache_generation(bigint) IS
    'A cache generation above this one and above every one that was given out before this moment';

COMMENT ON COLUMN positions.cache_home IS 'The Redis that the cache generation was agreed with: run id, replication id, mark; or "off" and since when, in milliseconds: no trust is renewed';
