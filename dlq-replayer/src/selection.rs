//! Which letters are meant, as SQL.

use chrono::{DateTime, Utc};
use projector::letters::LetterState;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::since::Since;

/// Which letters are meant.
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    /// These.
    Ids(Vec<Uuid>),
    /// All that match, of generations that are not retired.
    Filters(Filters),
}

/// What letters must have in common; what is absent matches all.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    pub(crate) projection: Option<String>,
    pub(crate) topic: Option<String>,
    pub(crate) stream_id: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) states: Vec<LetterState>,
    pub(crate) since: Option<Since>,
}

impl Filters {
    /// Adds `FROM letters l ... WHERE ...`.
    pub(crate) fn push(&self, query: &mut QueryBuilder<Postgres>, now: DateTime<Utc>) {
        query.push(
            " FROM letters l JOIN generations g USING (projection, generation)
              WHERE g.state <> 'retired'",
        );
        for (column, value) in [
            (" AND l.projection = ", &self.projection),
            (" AND l.topic = ", &self.topic),
            (" AND l.stream_id = ", &self.stream_id),
            (" AND l.error_class = ", &self.class),
            (" AND l.error_code = ", &self.code),
        ] {
            if let Some(value) = value {
                query.push(column).push_bind(value.clone());
            }
        }
        let states: Vec<&str> = self.states.iter().map(|state| state.as_str()).collect();
        query.push(" AND l.state = ANY(").push_bind(states).push(")");
        if self.states.iter().all(|state| state.is_open()) {
            // The index of open letters is smaller by all that was ever settled.
            query.push(" AND l.settled_at IS NULL");
        }
        if let Some(since) = self.since {
            query.push(" AND l.first_failed_at >= ").push_bind(since.moment(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(filters: &Filters) -> String {
        let mut query = QueryBuilder::new("SELECT count(*)");
        filters.push(&mut query, DateTime::<Utc>::MIN_UTC);
        query.into_string()
    }

    fn all_open() -> Filters {
        Filters {
            projection: None,
            topic: None,
            stream_id: None,
            class: None,
            code: None,
            states: LetterState::OPEN.to_vec(),
            since: None,
        }
    }

    #[test]
    fn what_is_not_asked_for_is_no_condition() {
        let sql = sql(&all_open());
        assert!(sql.ends_with("AND l.state = ANY($1) AND l.settled_at IS NULL"), "{sql}");
    }

    #[test]
    fn values_are_bound_and_never_part_of_the_statement() {
        let key = "x' OR true --".to_owned();
        let sql = sql(&Filters { stream_id: Some(key.clone()), ..all_open() });
        assert!(sql.contains("l.stream_id = $1") && !sql.contains(&key), "{sql}");
    }
}
