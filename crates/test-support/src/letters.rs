//! Letters as tests see them: in the table and on `events-dlq`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use kafka_io::topic::Topic;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Log, World, eventually};

/// A letter as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Letter {
    /// Its id.
    pub id: Uuid,
    /// Partition of its record.
    pub partition: i32,
    /// Offset of its record.
    pub log_offset: i64,
    /// The stream, where the key is text.
    pub stream_id: Option<String>,
    /// Key of its record.
    pub key: Option<Vec<u8>>,
    /// Value of its record.
    pub value: Option<Vec<u8>>,
    /// Where it stands.
    pub state: String,
    /// Class of the failure.
    pub error_class: String,
    /// Code of the failure.
    pub error_code: String,
    /// How often it was tried.
    pub attempts: i32,
}

impl World {
    /// Every letter, in log order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn letters(&self) -> Result<Vec<Letter>> {
        sqlx::query_as(
            "SELECT id, partition, log_offset, stream_id, key, value, state, error_class,
                    error_code, attempts
             FROM letters ORDER BY partition, log_offset",
        )
        .fetch_all(self.pool())
        .await
        .context("reading letters")
    }

    /// Waits until as many letters as that are in the state, and returns all letters.
    ///
    /// # Errors
    /// There are not in time.
    pub async fn letters_in(&self, state: &str, count: usize) -> Result<Vec<Letter>> {
        eventually(&format!("{count} letters are {state}"), async || {
            let letters = self.letters().await?;
            let found = letters.iter().filter(|letter| letter.state == state).count();
            let by_state = letters.iter().fold(BTreeMap::new(), |mut all, letter| {
                *all.entry(letter.state.as_str()).or_insert(0) += 1;
                all
            });
            ensure!(found == count, "the letters are {by_state:?}");
            Ok(letters.clone())
        })
        .await
    }

    /// The topic of copies of letters.
    ///
    /// # Errors
    /// The stack names no brokers.
    pub fn copies(&self) -> Result<Log> {
        self.log_of(Topic::EventsDlq)
    }
}
