-- Who wants to be registered and has not shown yet that the address is theirs.

CREATE TABLE pending_registrations (
    registration_id uuid        PRIMARY KEY,
    email_digest    bytea       NOT NULL CHECK (octet_length(email_digest) = 32),
    sealed_content  bytea       NOT NULL,
    asked_at        timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL
);
CREATE INDEX pending_registrations_email_digest ON pending_registrations (email_digest);
CREATE INDEX pending_registrations_expires_at ON pending_registrations (expires_at);
COMMENT ON TABLE pending_registrations IS 'Registrations that wait until the link of their mail is followed, several of an address: whether somebody has the address is found out then';
COMMENT ON COLUMN pending_registrations.registration_id IS 'Also the id of its mail, and of the user who comes of it';
COMMENT ON COLUMN pending_registrations.email_digest IS 'Keyed hash of the address, as in the claims of streams';
COMMENT ON COLUMN pending_registrations.sealed_content IS 'What was asked for, with the hash of the password, sealed under a key that is derived from the deployment''s secret, which is not here';
COMMENT ON COLUMN pending_registrations.expires_at IS 'From then on nobody comes of it, and it is forgotten';
