//! Which users are asked for, in which order.

use access::Role;
use domain::user::{UserId, Username};
use read_models::user::StoredUser;
use serde::{Deserialize, Serialize};

use crate::parameters::{Fault, Parameters, truth};

/// Parameters of a page.
pub(super) const OF_PAGES: [&str; 5] = ["role", "active", "prefix", "limit", "cursor"];

/// Users who are not erased, ordered by their id; by their name and then by id where a prefix is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsersQuery {
    pub(super) role: Option<Role>,
    pub(super) active: Option<bool>,
    /// How names begin, in lower case; not empty.
    pub(super) prefix: Option<String>,
    /// Only those behind this place.
    pub(super) after: Option<Place>,
}

/// The place of a row in the order: name in lower case, empty where it is no part of the order, and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(super) name: String,
    pub(super) id: String,
}

impl Place {
    pub(super) fn id(&self) -> UserId {
        // It is signed: what is no id was never written.
        UserId::parse(&self.id).unwrap_or(UserId(uuid::Uuid::nil()))
    }
}

/// Where a user stands.
pub(super) fn place(user: &StoredUser) -> Place {
    let name = Username::normalise(user.row.username.as_deref().unwrap_or_default()).into_owned();
    Place { name, id: user.id.to_string() }
}

impl UsersQuery {
    /// Reads the parameters but for the cursor; faults are noted there.
    pub(super) fn read(parameters: &mut Parameters) -> Self {
        let prefix = parameters.read("prefix", prefix);
        Self {
            role: parameters.read("role", role),
            active: parameters.read("active", truth),
            prefix: prefix.filter(|prefix| !prefix.is_empty()),
            after: None,
        }
    }
}

fn role(text: &str) -> Result<Role, Fault> {
    Role::parse(text).ok_or_else(|| {
        let names = Role::ALL.map(Role::name).join(", ");
        Fault::new("one-of", format!("must be one of {names}"))
    })
}

/// What no name begins with finds nobody; only what Postgres does not take is refused.
fn prefix(text: &str) -> Result<String, Fault> {
    if text.contains('\0') {
        return Err(Fault::new("no-nul", "must not hold U+0000"));
    }
    if text.chars().count() > Username::MAX_LENGTH {
        let limit = Username::MAX_LENGTH as u64;
        let detail = format!("must have at most {limit} characters");
        return Err(Fault { limit: Some(limit), ..Fault::new("max-characters", detail) });
    }
    Ok(Username::normalise(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<UsersQuery, Vec<String>> {
        let uri = format!("/api/v1/users?{query}").parse().unwrap();
        let mut parameters = Parameters::of(&uri, &OF_PAGES);
        let query = UsersQuery::read(&mut parameters);
        parameters.check().map(|()| query).map_err(|problem| {
            problem
                .parameter_errors()
                .iter()
                .map(|e| format!("{} {}", e.parameter, e.rule))
                .collect()
        })
    }

    #[test]
    fn everybody_unless_somebody_is_asked_for() {
        let all = UsersQuery { role: None, active: None, prefix: None, after: None };
        assert_eq!(read(""), Ok(all.clone()));
        assert_eq!(read("prefix="), Ok(all));
        let some = read("role=admin&active=false&prefix=Ann").unwrap();
        assert_eq!((some.role, some.active), (Some(Role::Admin), Some(false)));
        assert_eq!(some.prefix.as_deref(), Some("ann"));
    }

    #[test]
    fn what_is_no_filter_is_named() {
        assert_eq!(read("role=Admin").unwrap_err(), ["role one-of"]);
        assert_eq!(read("active=yes").unwrap_err(), ["active boolean"]);
        assert_eq!(read("prefix=a%00").unwrap_err(), ["prefix no-nul"]);
        let long = format!("prefix={}", "a".repeat(33));
        assert_eq!(read(&long).unwrap_err(), ["prefix max-characters"]);
        assert_eq!(read("email=a").unwrap_err(), ["email known-parameters"]);
    }
}
