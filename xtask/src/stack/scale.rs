//! How many processes of each kind run.

use std::str::FromStr;

use super::service::Service;

/// At most this many, so that their ports do not meet those of another kind.
const MOST: u16 = 9;

/// `projector=2,query-api=2`: what is not named runs once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scale(Vec<(Service, u16)>);

impl Scale {
    /// How many processes of a kind run.
    pub fn of(&self, service: Service) -> u16 {
        self.0.iter().rev().find(|(named, _)| *named == service).map_or(1, |(_, count)| *count)
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(part).collect::<Result<_, _>>().map(Self)
    }
}

fn part(text: &str) -> Result<(Service, u16), String> {
    let wrong = || {
        let names: Vec<_> = Service::ALL.iter().map(|service| service.name()).collect();
        format!(
            "SCALE takes <process>=<count from 1 to {MOST}>, separated by commas, of {}; not \"{text}\"",
            names.join(", ")
        )
    };
    let (name, count) = text.split_once('=').ok_or_else(wrong)?;
    let service = Service::ALL.iter().find(|service| service.name() == name).ok_or_else(wrong)?;
    let count = count.parse().ok().filter(|count| (1..=MOST).contains(count)).ok_or_else(wrong)?;
    Ok((*service, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_runs_once() {
        let scale: Scale = "projector=2, query-api=3".parse().unwrap();
        assert_eq!(scale.of(Service::Projector), 2);
        assert_eq!(scale.of(Service::QueryApi), 3);
        assert_eq!(scale.of(Service::CommandApi), 1);
        assert_eq!("".parse(), Ok(Scale::default()));
    }

    #[test]
    fn a_process_that_does_not_exist_and_a_count_out_of_bounds_are_refused() {
        for text in ["kafka=3", "projector", "projector=0", "projector=10", "projector=two"] {
            assert!(text.parse::<Scale>().is_err(), "{text}");
        }
    }
}
