-- Whose access tokens are taken no more, what they are signed with, and where logging in failed.

CREATE TABLE revocations (
    revocation_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id    uuid,
    user_id       uuid,
    below_version bigint      CHECK (below_version > 0),
    recorded_in   xid8        NOT NULL DEFAULT pg_current_xact_id(),
    expires_at    timestamptz NOT NULL,
    CHECK (num_nonnulls(session_id, user_id) = 1),
    CHECK ((user_id IS NULL) = (below_version IS NULL))
);
CREATE INDEX revocations_recorded_in ON revocations (recorded_in);
CREATE INDEX revocations_expires_at ON revocations (expires_at);
COMMENT ON TABLE revocations IS 'Access tokens that are taken no more although they have not expired: those of a session, or older ones of a user; written with the event that is the reason';
COMMENT ON COLUMN revocations.session_id IS 'All access tokens of this session';
COMMENT ON COLUMN revocations.user_id IS 'Access tokens of this user that were made when their stream was below a version';
COMMENT ON COLUMN revocations.below_version IS 'The version of the user''s stream from which on access tokens are taken';
COMMENT ON COLUMN revocations.recorded_in IS 'The transaction that wrote the row: by it, whoever reads again finds also what was committed late';
COMMENT ON COLUMN revocations.expires_at IS 'When the last access token that it is about has expired; then the row is forgotten';

CREATE TABLE signing_keys (
    kid                text        PRIMARY KEY,
    public_key         bytea       NOT NULL CHECK (octet_length(public_key) = 32),
    sealed_private_key bytea       NOT NULL,
    signs_from         timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE signing_keys IS 'The keys of access tokens: every row''s public part is published, and the one that began last to sign signs';
COMMENT ON COLUMN signing_keys.kid IS 'What the key is called in headers of access tokens';
COMMENT ON COLUMN signing_keys.public_key IS 'Ed25519';
COMMENT ON COLUMN signing_keys.sealed_private_key IS 'Sealed under a key that is derived from the deployment''s secret, which is not here';
COMMENT ON COLUMN signing_keys.signs_from IS 'From then on it signs, until another one does; before, it is only published';

CREATE TABLE login_failures (
    key            bytea       PRIMARY KEY CHECK (octet_length(key) BETWEEN 16 AND 32),
    failures       integer     NOT NULL CHECK (failures >= 0),
    last_failed_at timestamptz,
    blocked_until  timestamptz,
    let_in_at      timestamptz,
    kept_until     timestamptz NOT NULL
);
CREATE INDEX login_failures_kept_until ON login_failures (kept_until);
COMMENT ON TABLE login_failures IS 'How often in a row logging in failed, so that whoever guesses waits ever longer';
COMMENT ON COLUMN login_failures.key IS 'Keyed hash of who it was tried as and from where, or of one of them: nobody can read which';
COMMENT ON COLUMN login_failures.last_failed_at IS 'Absent where it never did';
COMMENT ON COLUMN login_failures.blocked_until IS 'Until then it is not tried at all; absent where nobody has to wait';
COMMENT ON COLUMN login_failures.let_in_at IS 'When somebody came in as them and from there last: for thirty days only their own failures hold them back';
COMMENT ON COLUMN login_failures.kept_until IS 'From then on the row says nothing any more, and is forgotten';
