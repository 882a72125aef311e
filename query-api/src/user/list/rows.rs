//! Reading users.

use read_models::user::UserColumns;
use sqlx::{Postgres, QueryBuilder};

use super::PROJECTION;
use super::query::UsersQuery;
use crate::consistency::Whose;
use crate::listing::Listed;
use crate::text_range::behind;

impl Listed for UsersQuery {
    const PROJECTION: &'static str = PROJECTION;
    const PAGES: &'static str = "pages of users";
    const BYTES: &'static str = "octet_length(concat(full_name, bio, image))";
    type Columns = UserColumns;

    fn push_rows(&self, sql: &mut QueryBuilder<Postgres>, most: Option<u64>) {
        sql.push(
            "SELECT r.id, r.generation, r.username, r.email, r.full_name, r.bio, r.image, r.roles,
                    r.email_verified, r.active, r.erased, r.session_epoch, r.version, r.created_at,
                    r.updated_at, r.log_epoch, r.log_offset, lower(r.username) AS name
             FROM user_rows r
             WHERE r.generation = (SELECT g.generation FROM generations g
                                   WHERE g.projection = 'user' AND g.state = 'active')
               AND NOT r.erased",
        );
        self.push_filters(sql);
        if let Some(after) = &self.after {
            let id = after.id().0;
            match self.prefix {
                Some(_) => {
                    sql.push(" AND (lower(r.username), r.id) > (").push_bind(after.name.clone());
                    sql.push(", ").push_bind(id).push(")");
                }
                None => {
                    sql.push(" AND r.id > ").push_bind(id);
                }
            }
        }
        sql.push(" ORDER BY ").push(self.order());
        if let Some(most) = most {
            sql.push(" LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        }
    }

    fn order(&self) -> &'static str {
        if self.prefix.is_some() { "name, id" } else { "id" }
    }

    fn whose(&self) -> Whose<'_> {
        Whose::Everybody
    }
}

impl UsersQuery {
    fn push_filters(&self, sql: &mut QueryBuilder<Postgres>) {
        if let Some(role) = self.role {
            // Not bound: an index of those who have a role is found by its name.
            sql.push(" AND r.roles @> '{").push(role.name()).push("}'");
        }
        match self.active {
            Some(true) => drop(sql.push(" AND r.active")),
            Some(false) => drop(sql.push(" AND NOT r.active")),
            None => {}
        }
        if let Some(prefix) = &self.prefix {
            sql.push(" AND r.username IS NOT NULL AND lower(r.username) >= ");
            sql.push_bind(prefix.clone());
            if let Some(end) = behind(prefix) {
                sql.push(" AND lower(r.username) < ").push_bind(end);
            }
        }
    }
}
