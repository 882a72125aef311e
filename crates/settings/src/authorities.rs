//! The certificate authorities by which servers are believed.

use crate::{Settings, table};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Certificates of authorities as text (PEM, RFC 7468), one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities(String);

impl Authorities {
    /// The authorities that servers' certificates are checked against; `None` means those of the
    /// system. A file that cannot be read or holds no certificate is a fault.
    pub fn from_settings(settings: &mut Settings) -> Option<Self> {
        let path = settings.optional_text(&table::TLS_CA_PATH)?;
        let found = match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(text).ok_or_else(|| "holds no certificate in PEM".to_owned()),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        found
            .map_err(|fault| {
                settings.fault(format!("{} {fault} ({path})", table::TLS_CA_PATH.name))
            })
            .ok()
    }

    /// Takes a text with a certificate in it.
    pub fn parse(text: String) -> Option<Self> {
        let authorities = Self(text);
        let is_some = authorities.certificates().next().is_some();
        is_some.then_some(authorities)
    }

    /// All of them.
    pub fn pem(&self) -> &str {
        &self.0
    }

    /// Each of them.
    pub fn certificates(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            rest = &rest[rest.find(BEGIN)?..];
            let (certificate, after) = rest.split_at(rest.find(END)? + END.len());
            rest = after;
            Some(certificate)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        let this = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (path, fault) in [("/nowhere", "cannot be read"), (this, "holds no certificate")] {
            let mut settings = Settings::new([("MILLRACE_TLS_CA_PATH".into(), path.into())]);
            assert_eq!(Authorities::from_settings(&mut settings), None);
            let faults = settings.finish(()).unwrap_err().0;
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].starts_with("MILLRACE_TLS_CA_PATH") && faults[0].contains(fault));
        }
    }

    #[test]
    fn each_certificate_of_a_bundle_is_found_and_comments_are_not() {
        let one = format!("{BEGIN}\nAAAA\n{END}");
        let text = format!("# first\n{one}\n# second\n{one}\n{BEGIN}\ncut off");
        let authorities = Authorities::parse(text).unwrap();
        assert_eq!(authorities.certificates().collect::<Vec<_>>(), [one.as_str(), one.as_str()]);
    }
}
