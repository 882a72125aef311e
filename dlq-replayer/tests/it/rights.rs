//! What the roles may see and do.

use sqlx::{Connection as _, PgConnection};

use crate::desk::{Desk, ROLE, a_letter};

async fn refused(desk: &Desk, role: &str, statement: &'static str) -> bool {
    let mut session = PgConnection::connect(&desk.world.database_url(role).unwrap()).await.unwrap();
    let schema = read_models::database::schema(desk.world.prefix());
    let search = format!("SET search_path = {schema}");
    sqlx::query(sqlx::AssertSqlSafe(search)).execute(&mut session).await.unwrap();
    match sqlx::query(statement).execute(&mut session).await {
        Ok(_) => false,
        Err(error) => {
            let code = error.as_database_error().and_then(|e| e.code()).unwrap_or_default();
            assert_eq!(code, "42501", "{statement} is refused for another reason: {error}");
            true
        }
    }
}

#[tokio::test]
async fn the_read_side_sees_where_letters_are_and_nothing_of_records() {
    let desk = Desk::start("rights-reader").await;
    desk.given(a_letter("dev-1", 7)).await;
    let strict_read =
        "SELECT projection, generation, topic, epoch, partition, stream_id, log_offset,
                              state, settled_at FROM letters";
    assert!(!refused(&desk, "query_api", strict_read).await);
    for statement in [
        "SELECT key FROM letters",
        "SELECT value FROM letters",
        "SELECT header_names FROM letters",
        "SELECT header_values FROM letters",
        "SELECT error_message FROM letters",
        "SELECT * FROM letters",
        "SELECT * FROM letter_tries",
        "SELECT * FROM letter_actions",
        "SELECT * FROM dispositions",
    ] {
        assert!(refused(&desk, "query_api", statement).await, "{statement}");
    }
}

#[tokio::test]
async fn operators_cannot_change_what_was_recorded() {
    let desk = Desk::start("rights-operator").await;
    desk.given(a_letter("dev-1", 7)).await;
    for statement in [
        "UPDATE letter_actions SET acted_by = 'nobody'",
        "DELETE FROM letter_actions",
        "DELETE FROM letter_tries",
        "DELETE FROM letters",
        "UPDATE letters SET value = NULL",
        "DELETE FROM dispositions",
        "UPDATE positions SET next_offset = 0",
        "UPDATE generations SET state = 'retired'",
        "INSERT INTO schema_ids VALUES ('a', 'b', 1, 1)",
        "DELETE FROM topics",
    ] {
        assert!(refused(&desk, ROLE, statement).await, "{statement}");
    }
}
