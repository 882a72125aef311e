//! Which members of a row are shown.

use crate::parameters::Fault;
use crate::resource::presence::ONLINE;

/// Every member, in the order in which they are shown.
pub(in crate::resource) const NAMES: [&str; 7] =
    ["id", "payload", "version", "occurred_at", "recorded_at", "updated_at", ONLINE];

/// A set of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields(u8);

impl Fields {
    /// All of them.
    pub(super) const ALL: Self = Self(0b111_1111);

    /// Reads names separated by commas.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut fields = Self(0);
        for name in text.split(',') {
            let place = NAMES.iter().position(|known| *known == name);
            let Some(place) = place else {
                let known = NAMES.join(", ");
                return Err(Fault::new("one-of", format!("must be names among {known}")));
            };
            fields.0 |= 1 << place;
        }
        Ok(fields)
    }

    /// Whether the member of this name is shown.
    pub(super) fn has(self, name: &str) -> bool {
        NAMES.iter().position(|known| *known == name).is_some_and(|n| self.0 & (1 << n) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_chosen_by_name() {
        let fields = Fields::parse("version,id,id").unwrap();
        let chosen: Vec<_> = NAMES.into_iter().filter(|name| fields.has(name)).collect();
        assert_eq!(chosen, ["id", "version"]);
        assert!(NAMES.into_iter().all(|name| Fields::ALL.has(name)));
        assert_eq!(Fields::parse(&NAMES.join(",")), Ok(Fields::ALL));
        assert!(!Fields::ALL.has("generation"));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for text in ["", "id,", "Id", "id, version", "log_offset"] {
            assert_eq!(Fields::parse(text).unwrap_err().rule, "one-of", "{text}");
        }
    }
}
