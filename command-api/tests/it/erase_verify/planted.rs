//! What nothing of ours would write, put where it is to be found.

use anyhow::{Context as _, Result};
use domain::Timestamp;
use domain::decision::Decided;
use domain::user::UserEvent;
use event_schema::personal::Sealed;
use event_schema::user::{encode, schema_of};
use kafka_io::topic::Topic;
use test_support::Outgoing;
use uuid::Uuid;

use super::Erased;

/// One text in many spellings: in columns of every kind, records, keys and files.
pub(super) async fn plant_texts(erased: &Erased) -> Result<()> {
    for statement in [
        // An array of texts, which Postgres quotes.
        "UPDATE {store}.events SET changed = ARRAY['x', 'a Planted \"Märker\" b'] WHERE stream_version = 1",
        // Bytes that are text in them.
        "INSERT INTO {store}.requests (principal, key, route, answer)
         VALUES ('p', 'k', 'r', '\\x00'::bytea || convert_to('{\"a\":\"PLANTED \\\"MÄRKER\\\"\"}', 'UTF8'))",
        // A header, among bytes; and a text.
        "INSERT INTO letters (id, projection, generation, topic, epoch, partition, log_offset, log_time,
             header_names, header_values, state, error_class, error_code, error_message)
         SELECT gen_random_uuid(), 'user', 1, 't', 1, 0, n, now(), ARRAY['h', 'none'],
                ARRAY[CASE n WHEN 0 THEN convert_to('planted \"märker\"', 'UTF8') ELSE '\\xff' END, NULL],
                'parked', 'c', 'c', CASE n WHEN 1 THEN 'planted+%22m%C3%A4rker%22' ELSE '' END
         FROM generate_series(0, 2) n",
        "INSERT INTO seen VALUES ('user', 1, gen_random_uuid(), 0,
             convert_to('xplanted \"märker\"', 'UTF8'), now())",
        // What was sampled of rows that are gone.
        "INSERT INTO user_rows
         SELECT 1, gen_random_uuid(), 'u' || n, NULL, 'Planted \"Märker\"', NULL, NULL, '{}', true, true,
                false, 1, now(), now(), 1, n
         FROM generate_series(1, 9) n",
        "ANALYZE user_rows_1",
        "DELETE FROM user_rows WHERE NOT erased",
    ] {
        erased.execute(statement).await?;
    }
    let text = "so planted \"MÄRKER\" stands here".as_bytes().to_vec();
    let key = Outgoing { key: Some(text.clone()), ..Outgoing::default() };
    let value = Outgoing { value: Some(text.clone()), ..Outgoing::default() };
    let header = Outgoing { headers: vec![("h".to_owned(), text)], ..Outgoing::default() };
    for (topic, record) in
        [(Topic::EventsInput, key), (Topic::EventsDlq, value), (Topic::IdentityUser, header)]
    {
        erased.world.log_of(topic)?.append_raw(vec![record, Outgoing::default()]).await?;
    }
    let mut redis = erased.redis()?;
    for (key, value) in [
        ("resource:planted \"märker\"", "7 1 {}"),
        ("resource:x", "7 1 {\"a\":\"planted \\\"m\\u00e4rker\\\"\"}"),
        ("resource:y", "7 1 {}"),
    ] {
        redis.text(&["SET", &erased.key(key), value, "EX", "600"])?;
    }
    let logs = erased.world.dir().join("planted-logs");
    std::fs::create_dir_all(logs.join("deep"))?;
    std::fs::write(
        logs.join("deep/one.log"),
        format!("{}planted \"märker\"", "x".repeat(300_000)),
    )?;
    std::fs::write(logs.join("planted \"märker\".log"), "")?;
    std::fs::write(logs.join("other.log"), "nobody")?;
    Ok(())
}

/// The value of an event of the person, with an address that is not sealed.
pub(super) async fn clear_value(erased: &Erased) -> Result<Vec<u8>> {
    let event_id = Uuid::now_v7();
    let bytes = b"ann.of.the.long.address@example.org".to_vec();
    let event = UserEvent::EmailChanged { email: Sealed { event_id, field: "email", bytes } };
    let schema = schema_of(&event);
    let registered = read_models::deployment::schemas(erased.world.pool()).await?;
    let registered = registered.iter().find(|known| known.record_name == schema.record_name());
    let decided = Decided {
        event_id,
        aggregate_id: erased.user.parse()?,
        version: 2,
        previous_id: Some(Uuid::now_v7()),
        occurred_at: Timestamp(0),
        event,
    };
    Ok(encode(&decided, registered.context("a schema that was not registered")?.schema_id)?)
}

/// Puts it into the log, under a key that is not the person's.
pub(super) async fn log_value(erased: &Erased, value: Vec<u8>) -> Result<()> {
    let record = Outgoing { key: Some(b"x".to_vec()), value: Some(value), ..Outgoing::default() };
    erased.world.users_log()?.append_raw(vec![record]).await
}
