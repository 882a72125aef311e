-- What people show beside their passwords.

CREATE TABLE second_factors (
    user_id        text        PRIMARY KEY REFERENCES subject_keys,
    sealed_secret  bytea       NOT NULL,
    last_step      bigint      NOT NULL CHECK (last_step >= 0),
    recovery_codes bytea[]     NOT NULL,
    enrolled_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE second_factors IS 'Second factors of users; whether one is asked for is said by the user''s stream alone';
COMMENT ON COLUMN second_factors.sealed_secret IS 'What codes follow from, sealed under a key that is derived from the deployment''s secret, which is not here';
COMMENT ON COLUMN second_factors.last_step IS 'The last step of thirty seconds, counted from 1970, whose code was taken: none of it or of an earlier one is any more';
COMMENT ON COLUMN second_factors.recovery_codes IS 'Keyed hashes of the recovery codes that are left; one that is used is taken out';
