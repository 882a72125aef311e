-- Users, one partition of rows for each generation. Personal fields stand here as their person's key
-- opened them, and are NULL once the person is erased.

CREATE TABLE user_rows (
    generation     integer     NOT NULL,
    id             uuid        NOT NULL,
    -- Compared byte by byte, whatever the database's collation: a page ends where the next begins, and
    -- a prefix is a range of the index.
    username       text        COLLATE "C",
    email          text,
    full_name      text,
    bio            text,
    image          text,
    roles          text[]      NOT NULL,
    email_verified boolean     NOT NULL,
    active         boolean     NOT NULL,
    erased         boolean     NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    log_epoch      integer     NOT NULL,
    log_offset     bigint      NOT NULL,
    PRIMARY KEY (generation, id),
    CONSTRAINT user_rows_erased CHECK (
        NOT erased OR (num_nonnulls(username, email, full_name, bio, image) = 0 AND roles = '{}'
                       AND NOT email_verified AND NOT active))
) PARTITION BY LIST (generation);

CREATE TABLE user_rows_1 PARTITION OF user_rows FOR VALUES IN (1)
    WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);

-- Each index begins with the generation, though a partition has only one: what is asked for is found by
-- one index whatever is known of the table, also before anybody has counted its rows.

-- By name, and all names that begin with a text, in the order of names.
CREATE INDEX user_rows_username ON user_rows (generation, lower(username), id) WHERE username IS NOT NULL;

-- Pages are in the order of ids, by the primary key, which soon comes upon enough of what most have.
-- What few have is found in the same order by an index of its own: one index over all roles would have
-- to be sorted for every page.
CREATE INDEX user_rows_approvers  ON user_rows (generation, id) WHERE roles @> '{approver}';
CREATE INDEX user_rows_admins     ON user_rows (generation, id) WHERE roles @> '{admin}';
CREATE INDEX user_rows_devices    ON user_rows (generation, id) WHERE roles @> '{device}';
CREATE INDEX user_rows_responders ON user_rows (generation, id) WHERE roles @> '{responder}';
CREATE INDEX user_rows_analysts   ON user_rows (generation, id) WHERE roles @> '{analyst}';
CREATE INDEX user_rows_inactive   ON user_rows (generation, id) WHERE NOT active AND NOT erased;

COMMENT ON TABLE user_rows IS 'Rows of users by generation';
COMMENT ON CONSTRAINT user_rows_erased ON user_rows IS 'Of who is erased nothing is kept but that they were';

INSERT INTO generations (projection, generation, state) VALUES ('user', 1, 'active');

CREATE VIEW users AS
SELECT r.id, r.username, r.email, r.full_name, r.bio, r.image, r.roles, r.email_verified, r.active,
       r.erased, r.version, r.created_at, r.updated_at, r.log_epoch, r.log_offset
FROM user_rows r
WHERE r.generation = (SELECT g.generation FROM generations g
                      WHERE g.projection = 'user' AND g.state = 'active');

COMMENT ON VIEW users IS 'Everybody who has registered; who was erased stays as a row without personal fields. Analysts read all but these: username, email, full_name, bio, image';
COMMENT ON COLUMN users.id IS 'The user';
COMMENT ON COLUMN users.username IS 'The name they are known by, unique but for case; absent once they are erased';
COMMENT ON COLUMN users.email IS 'Where they get letters; absent once they are erased';
COMMENT ON COLUMN users.full_name IS 'Their full name; absent where it is not told and once they are erased';
COMMENT ON COLUMN users.bio IS 'What they say of themselves; absent where they say nothing and once they are erased';
COMMENT ON COLUMN users.image IS 'The address of their picture; absent where there is none and once they are erased';
COMMENT ON COLUMN users.roles IS 'What they may be: user, approver, admin, device, responder, analyst';
COMMENT ON COLUMN users.email_verified IS 'Whether they showed that the address is theirs';
COMMENT ON COLUMN users.active IS 'Whether they may come in';
COMMENT ON COLUMN users.erased IS 'Whether they are forgotten';
COMMENT ON COLUMN users.version IS 'The version of their stream: how many events they have';
COMMENT ON COLUMN users.created_at IS 'Log time of their first event';
COMMENT ON COLUMN users.updated_at IS 'Log time of their newest event';
COMMENT ON COLUMN users.log_epoch IS 'Which life of the topic the newest of their records was read from';
COMMENT ON COLUMN users.log_offset IS 'Offset of the newest of their records within its partition';

COMMENT ON COLUMN dead_letters.projection IS 'The view that does not show it: resource, device_history, user';
COMMENT ON COLUMN dead_letters.stream_id IS 'The device, or user- and the user; absent where the record has no key or one that is no text';
COMMENT ON COLUMN freshness.projection IS 'The view: resource, device_history, user';
COMMENT ON COLUMN freshness.waiting_streams IS 'Devices or users whose later events wait behind a dead letter';
