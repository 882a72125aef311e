//! What the role of each process may do, and that of analysts, and nothing else.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Gives the roles that exist in this cluster exactly their rights on a deployment's schema. The
/// tables are those of the last migration, so this runs after each.
pub(super) async fn grant(owner: &mut PgConnection, schema: &str) -> Result<()> {
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
        for right in [FOR_ALL, rights].concat() {
            let statement = right.replace("{schema}", schema).replace("{role}", role);
            sqlx::query(AssertSqlSafe(statement.clone()))
                .execute(&mut *transaction)
                .await
                .with_context(|| format!("granting rights: {statement}"))?;
        }
    }
    transaction.commit().await.context("committing the grants")
}

const FOR_ALL: &[&str] = &[
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
    "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM {role}",
];

const RIGHTS: [(&str, &[&str]); 5] = [
    ("command_api", &["GRANT SELECT ON topics, schema_ids TO {role}"]),
    (
        "query_api",
        &[
            "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            // Of letters only what a strict read asks: never a record or what operators say of it.
            "REVOKE ALL ON letters, letter_tries, letter_actions, letter_notices, dispositions FROM {role}",
            "GRANT SELECT (projection, generation, topic, epoch, partition, stream_id, log_offset,
                           log_time, state, settled_at) ON letters TO {role}",
        ],
    ),
    (
        "projector",
        &[
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "REVOKE INSERT, UPDATE, DELETE ON topics, schema_ids, generations, _sqlx_migrations FROM {role}",
            // What operators decided and did is not the projector's to change.
            "REVOKE INSERT, UPDATE, DELETE ON letter_actions, dispositions FROM {role}",
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
            // Rows of read models and the ids that were seen: a replay folds as the projector does.
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "REVOKE INSERT, UPDATE, DELETE ON topics, schema_ids, generations, positions, letters,
                 letter_tries, letter_actions, letter_notices, dispositions, parked_keys,
                 _sqlx_migrations FROM {role}",
            "GRANT UPDATE (brake, braked_at) ON generations TO {role}",
            "GRANT UPDATE (parked_keys) ON positions TO {role}",
            "GRANT UPDATE (state, error_class, error_code, error_message, attempts, last_tried_at,
                           next_try_at, settled_at) ON letters TO {role}",
            "GRANT UPDATE (head, letters), DELETE ON parked_keys TO {role}",
            // What was tried, done and decided is added to and never changed.
            "GRANT INSERT ON letter_tries, letter_actions, letter_notices, dispositions TO {role}",
            "GRANT EXECUTE ON FUNCTION make_device_history_month TO {role}",
        ],
    ),
    // No table: views hold what is theirs to see.
    ("analyst", &["GRANT SELECT ON resources, device_history, dead_letters, freshness TO {role}"]),
];
