-- Sessions, one partition of rows for each generation. A row holds what the session's own events say. That
-- all sessions of a user were ended at once stands with the user; that a session lapsed stands nowhere, since
-- nothing happens then.

CREATE TABLE session_rows (
    generation        integer     NOT NULL,
    id                uuid        NOT NULL,
    user_id           uuid        NOT NULL,
    session_epoch     bigint      NOT NULL CHECK (session_epoch >= 0),
    started_at        timestamptz NOT NULL,
    last_refreshed_at timestamptz,
    refreshes         bigint      NOT NULL CHECK (refreshes >= 0),
    ended_at          timestamptz,
    end_reason        text        CHECK (end_reason IN ('logged-out', 'revoked', 'reuse-detected')),
    version           bigint      NOT NULL CHECK (version > 0),
    log_epoch         integer     NOT NULL,
    log_offset        bigint      NOT NULL,
    PRIMARY KEY (generation, id),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) PARTITION BY LIST (generation);

CREATE TABLE session_rows_1 PARTITION OF session_rows FOR VALUES IN (1)
    WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);

-- A user's sessions, newest first; of somebody who logs in all the time, those that may still be active.
CREATE INDEX session_rows_user ON session_rows (generation, user_id, started_at, id);
CREATE INDEX session_rows_open ON session_rows (generation, user_id, started_at, id) WHERE ended_at IS NULL;

COMMENT ON TABLE session_rows IS 'Rows of sessions by generation';

INSERT INTO generations (projection, generation, state) VALUES ('session', 1, 'active');

CREATE VIEW sessions AS
SELECT r.id, r.user_id, r.session_epoch, r.started_at, r.last_refreshed_at, r.refreshes, r.ended_at,
       r.end_reason, r.version, r.log_epoch, r.log_offset
FROM session_rows r
WHERE r.generation = (SELECT g.generation FROM generations g
                      WHERE g.projection = 'session' AND g.state = 'active');

COMMENT ON VIEW sessions IS 'Everybody''s logins, each until it ends. A session is over, too, where its user has another session_epoch or may not come in, and where it was not refreshed for too long';
COMMENT ON COLUMN sessions.id IS 'The session';
COMMENT ON COLUMN sessions.user_id IS 'Who logged in';
COMMENT ON COLUMN sessions.session_epoch IS 'The session_epoch of the user when they logged in';
COMMENT ON COLUMN sessions.started_at IS 'Log time of the login';
COMMENT ON COLUMN sessions.last_refreshed_at IS 'Log time of the newest exchange of its refresh token; absent until the first';
COMMENT ON COLUMN sessions.refreshes IS 'How often its refresh token was exchanged';
COMMENT ON COLUMN sessions.ended_at IS 'Log time of the event that ended it; absent where there is none';
COMMENT ON COLUMN sessions.end_reason IS 'How that ended it: logged-out, revoked, reuse-detected';
COMMENT ON COLUMN sessions.version IS 'The version of its stream: how many events it has';
COMMENT ON COLUMN sessions.log_epoch IS 'Which life of the topic the newest of its records was read from';
COMMENT ON COLUMN sessions.log_offset IS 'Offset of the newest of its records within its partition';

-- Which of a user's sessions hold. Nobody has one before this migration, but the event that ends them is older:
-- what was folded of it is counted from the event store, which stands beside this schema once there is one. So a
-- row is what it would be if all were folded from the first event.
ALTER TABLE user_rows ADD COLUMN session_epoch bigint NOT NULL DEFAULT 0 CHECK (session_epoch >= 0);

DO $$
DECLARE
    events text := format('%I.events', regexp_replace(current_schema(), 'read_models$', 'event_store'));
BEGIN
    IF to_regclass(events) IS NOT NULL THEN
        EXECUTE format($statement$
            UPDATE user_rows r SET session_epoch = deactivated.times
            FROM (SELECT u.generation, u.id, count(*) AS times
                  FROM user_rows u
                  JOIN %s e ON e.stream_id = 'user-' || u.id::text AND e.stream_version <= u.version
                  WHERE NOT u.erased AND e.event_type = 'identity.user.deactivated.v1'
                  GROUP BY u.generation, u.id) AS deactivated
            WHERE r.generation = deactivated.generation AND r.id = deactivated.id
        $statement$, events);
    END IF;
END
$$;

CREATE OR REPLACE VIEW users AS
SELECT r.id, r.username, r.email, r.full_name, r.bio, r.image, r.roles, r.email_verified, r.active,
       r.erased, r.version, r.created_at, r.updated_at, r.log_epoch, r.log_offset, r.session_epoch
FROM user_rows r
WHERE r.generation = (SELECT g.generation FROM generations g
                      WHERE g.projection = 'user' AND g.state = 'active');

COMMENT ON COLUMN users.session_epoch IS 'How often all their sessions were ended at once: those that began in an earlier session_epoch are over';

COMMENT ON COLUMN dead_letters.projection IS 'The view that does not show it: resource, device_history, user, session';
COMMENT ON COLUMN dead_letters.stream_id IS 'The device, or user- or session- and the id; absent where the record has no key or one that is no text';
COMMENT ON COLUMN freshness.projection IS 'The view: resource, device_history, user, session';
COMMENT ON COLUMN freshness.waiting_streams IS 'Devices, users or sessions whose later events wait behind a dead letter';
