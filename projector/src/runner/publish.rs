//! Telling waiting readers that positions moved.
//!
//! A notice is a hint that arrives after the commit: a reader that misses it reads the positions
//! themselves a little later. Notices of all lanes leave through one connection, coalesced, so that
//! no batch waits for one and no commit takes the lock that `NOTIFY` takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use read_models::database::{DatabaseConfig, SessionLimits};
use sqlx::PgPool;

use super::positions::Scope;
use super::progress::{Advanced, Progress};

/// The channel that readers listen on.
pub(super) const CHANNEL: &str = "millrace_positions";

/// Publishes until it is aborted.
pub(super) async fn publish(database: DatabaseConfig, scope: Arc<Scope>, progress: Arc<Progress>) {
    let second = Duration::from_secs(1);
    let limits = SessionLimits {
        idle_in_transaction: second,
        transaction: second * 2,
        lock: second,
        statement: second * 2,
    };
    let pool = database.pool("projector-positions", limits, 1, second * 2);
    loop {
        let moved = progress.next_advance().await;
        let notice = notice(&database.schema, &scope, &moved);
        if let Err(error) = send(&pool, &notice).await {
            tracing::debug!(%error, "readers were not told of a position and will read it");
        }
    }
}

async fn send(pool: &PgPool, notice: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(notice).execute(pool).await.map(drop)
}

/// `{"s":schema,"p":projection,"g":generation,"t":topic,"e":epoch,"at":{"partition":next_offset},
/// "l":{"partition":newest_letter}}`, the last of partitions where it is known, below 0 where there is
/// no letter. No name needs escaping: they are ours.
fn notice(schema: &str, scope: &Scope, moved: &BTreeMap<i32, Advanced>) -> String {
    let Scope { projection, generation, topic, epoch, .. } = scope;
    let mut text = format!(
        r#"{{"s":"{schema}","p":"{projection}","g":{generation},"t":"{topic}","e":{epoch},"at":{{"#
    );
    let offsets = moved.iter().map(|(partition, moved)| (*partition, moved.next_offset));
    push_numbers(&mut text, offsets);
    text.push_str(r#"},"l":{"#);
    let letters =
        moved.iter().filter_map(|(partition, moved)| Some((*partition, moved.newest_letter?)));
    push_numbers(&mut text, letters);
    text.push_str("}}");
    text
}

fn push_numbers(text: &mut String, numbers: impl Iterator<Item = (i32, i64)>) {
    for (index, (partition, number)) in numbers.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}"{partition}":{number}"#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next_offset: i64, newest_letter: Option<i64>) -> Advanced {
        Advanced { next_offset, newest_letter }
    }

    #[test]
    fn a_notice_names_the_build_and_the_positions() {
        let scope = Scope {
            projection: "resource",
            generation: 1,
            topic: "events-input".into(),
            epoch: 1,
            owner: "projector".into(),
        };
        assert_eq!(
            notice("read_models", &scope, &[(0, at(123, None)), (7, at(99, Some(-1)))].into()),
            r#"{"s":"read_models","p":"resource","g":1,"t":"events-input","e":1,"at":{"0":123,"7":99},"l":{"7":-1}}"#
        );
    }
}
