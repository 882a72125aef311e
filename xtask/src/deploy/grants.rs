//! What the role of each process may do, and that of analysts, and nothing else.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::migrations::Schemas;

/// Gives the roles that exist in this cluster exactly their rights on a deployment's schemas. The
/// tables are those of the last migration, so this runs after each.
pub(super) async fn grant(owner: &mut PgConnection, schemas: &Schemas) -> Result<()> {
    let mut transaction = owner.begin().await.context("beginning the grants")?;
    for (role, rights) in RIGHTS {
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
                .bind(role)
                .fetch_one(&mut *transaction)
                .await
                .with_context(|| format!("looking for the role {role}"))?;
        if !exists {
            continue;
        }
        let revoked = [&schemas.read_models, &schemas.event_store, &schemas.identity]
            .into_iter()
            .flat_map(|schema| FOR_ALL.iter().map(move |right| right.replace("{schema}", schema)));
        let given = rights.iter().map(|right| {
            right
                .replace("{schema}", &schemas.read_models)
                .replace("{event_store}", &schemas.event_store)
                .replace("{identity}", &schemas.identity)
        });
        for right in revoked.chain(given) {
            let statement = right.replace("{role}", role);
            sqlx::query(AssertSqlSafe(statement.clone()))
                .execute(&mut *transaction)
                .await
                .with_context(|| format!("granting rights: {statement}"))?;
        }
    }
    transaction.commit().await.context("committing the grants")
}

const FOR_ALL: &[&str] = &[
    "REVOKE ALL ON SCHEMA {schema} FROM {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
    "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM {role}",
];

/// To open what is sealed, under the lock of its key.
const OPENS_FIELDS: [&str; 3] = [
    "GRANT USAGE ON SCHEMA {identity} TO {role}",
    "GRANT SELECT ON {identity}.subject_keys TO {role}",
    "GRANT UPDATE (lock_only) ON {identity}.subject_keys TO {role}",
];

const USES_READ_MODELS: &str = "GRANT USAGE ON SCHEMA {schema} TO {role}";

const RIGHTS: [(&str, &[&str]); 5] = [
    (
        "command_api",
        &[
            USES_READ_MODELS,
            "GRANT SELECT ON topics, schema_ids TO {role}",
            "GRANT USAGE ON SCHEMA {event_store}, {identity} TO {role}",
            "GRANT SELECT, INSERT ON {event_store}.streams, {event_store}.events,
                 {event_store}.published, {event_store}.claims, {event_store}.requests,
                 {event_store}.mails, {event_store}.passed_over TO {role}",
            // What was decided is never changed: an event is only marked as published.
            "GRANT UPDATE (published_partition, published_offset) ON {event_store}.events TO {role}",
            "GRANT UPDATE ON {event_store}.streams, {event_store}.published, {event_store}.claims,
                 {event_store}.requests, {event_store}.mails TO {role}",
            "GRANT DELETE ON {event_store}.claims, {event_store}.requests, {event_store}.mails
                 TO {role}",
            "GRANT SELECT, UPDATE ON {event_store}.standing TO {role}",
            "GRANT SELECT, INSERT ON {identity}.subject_keys, {identity}.credentials TO {role}",
            "GRANT UPDATE (key, destroyed_at) ON {identity}.subject_keys TO {role}",
            "GRANT UPDATE, DELETE ON {identity}.credentials TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {identity}.second_factors,
                 {identity}.pending_registrations TO {role}",
            "GRANT SELECT, INSERT, DELETE ON {identity}.revocations, {identity}.signing_keys,
                 {identity}.login_failures TO {role}",
            // Locking a revocation to forget it needs the right to change one of its columns.
            "GRANT UPDATE (expires_at) ON {identity}.revocations TO {role}",
            "GRANT UPDATE ON {identity}.login_failures TO {role}",
        ],
    ),
    (
        "query_api",
        &[
            USES_READ_MODELS,
            "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            // Of letters only what a strict read asks: never a record or what operators say of it.
            "REVOKE ALL ON letters, letter_tries, letter_actions, letter_notices, dispositions FROM {role}",
            "GRANT SELECT (projection, generation, topic, epoch, partition, stream_id, log_offset,
                           log_time, state, settled_at) ON letters TO {role}",
            // Who changed what and when; never what to.
            "GRANT USAGE ON SCHEMA {event_store} TO {role}",
            "GRANT SELECT (stream_id, stream_version, event_id, event_type, occurred_at,
                           correlation_id, actor, changed, published_partition, published_offset)
                 ON {event_store}.events TO {role}",
            // Which access tokens are taken: never a key or a hash.
            "GRANT USAGE ON SCHEMA {identity} TO {role}",
            "GRANT SELECT ON {identity}.revocations TO {role}",
            "GRANT SELECT (kid, public_key) ON {identity}.signing_keys TO {role}",
        ],
    ),
    (
        "projector",
        &[
            USES_READ_MODELS,
            OPENS_FIELDS[0],
            OPENS_FIELDS[1],
            OPENS_FIELDS[2],
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "REVOKE INSERT, UPDATE, DELETE ON topics, schema_ids, generations, _sqlx_migrations FROM {role}",
            // What operators decided and did is not the projector's to change.
            "REVOKE INSERT, UPDATE, DELETE ON letter_actions, dispositions FROM {role}",
            // What was folded stays so.
            "REVOKE UPDATE, DELETE ON stream_events FROM {role}",
            // Locking a generation FOR SHARE needs the right to change one of its columns.
            "GRANT UPDATE (brake, braked_at) ON generations TO {role}",
            // Months of history are tables, which it does not own.
            "GRANT EXECUTE ON FUNCTION make_device_history_month, make_device_history_months_ahead,
                 drop_device_history_month TO {role}",
        ],
    ),
    (
        "dlq_replayer",
        &[
            USES_READ_MODELS,
            OPENS_FIELDS[0],
            OPENS_FIELDS[1],
            OPENS_FIELDS[2],
            // Rows of read models and the ids that were seen: a replay folds as the projector does.
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "REVOKE INSERT, UPDATE, DELETE ON topics, schema_ids, generations, positions, letters,
                 letter_tries, letter_actions, letter_notices, dispositions, parked_keys,
                 _sqlx_migrations FROM {role}",
            "GRANT UPDATE (brake, braked_at) ON generations TO {role}",
            "GRANT UPDATE (parked_keys) ON positions TO {role}",
            "GRANT UPDATE (state, error_class, error_code, error_message, attempts, last_tried_at,
                           next_try_at, settled_at, stream_version, event_id, previous_id)
                 ON letters TO {role}",
            // What was folded stays so.
            "REVOKE UPDATE, DELETE ON stream_events FROM {role}",
            "GRANT UPDATE (head, letters), DELETE ON parked_keys TO {role}",
            // What was tried, done and decided is added to and never changed.
            "GRANT INSERT ON letter_tries, letter_actions, letter_notices, dispositions TO {role}",
            "GRANT EXECUTE ON FUNCTION make_device_history_month TO {role}",
        ],
    ),
    // No table: views hold what is theirs to see.
    (
        "analyst",
        &[
            USES_READ_MODELS,
            "GRANT SELECT ON resources, device_history, sessions, dead_letters, freshness TO {role}",
            // Of users nothing that tells who they are.
            "GRANT SELECT (id, roles, email_verified, active, erased, session_epoch, version,
                           created_at, updated_at, log_epoch, log_offset) ON users TO {role}",
        ],
    ),
];
