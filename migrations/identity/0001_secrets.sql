-- What belongs to persons and never enters the log.

CREATE TABLE subject_keys (
    subject      text        PRIMARY KEY,
    key          bytea       CHECK (octet_length(key) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    lock_only    boolean,
    CHECK ((key IS NULL) = (destroyed_at IS NOT NULL))
);
COMMENT ON TABLE subject_keys IS 'The key that a person''s fields in events are sealed with; erasing destroys it';
COMMENT ON COLUMN subject_keys.subject IS 'The user''s id';
COMMENT ON COLUMN subject_keys.key IS 'Absent once it was destroyed: what it sealed is unreadable for ever';
COMMENT ON COLUMN subject_keys.lock_only IS 'Never set: the right to change it is the right to lock a row';

CREATE TABLE credentials (
    user_id       text        PRIMARY KEY REFERENCES subject_keys,
    password_hash text        NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE credentials IS 'Password hashes, in the form of PHC strings';
