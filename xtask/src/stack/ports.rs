//! The port plan: the documents' own ports, moved together by an offset.

use anyhow::{Context, Result, bail};

use super::holder;

/// Ports between two instances of a process: `projector-2` listens ten above `projector`.
const INSTANCE_STEP: u16 = 10;

/// Everything of a stack that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The front door.
    Nginx,
    /// The write side.
    CommandApi,
    /// The read side.
    QueryApi,
    /// The projector's health and metrics.
    Projector,
    /// Postgres.
    Postgres,
    /// Redis.
    Redis,
    /// Redis over TLS, with names. Whoever says none may do everything, as at the plain port.
    RedisSecured,
    /// The broker's clients.
    Kafka,
    /// The broker's clients over TLS, with names.
    KafkaSecured,
    /// The quorum, which only the broker itself talks to.
    KafkaController,
    /// The schema registry.
    Registry,
    /// The schema registry over TLS, with names.
    RegistryDoor,
}

impl Listener {
    const ALL: [Self; 12] = [
        Self::Nginx,
        Self::CommandApi,
        Self::QueryApi,
        Self::Projector,
        Self::Postgres,
        Self::Redis,
        Self::RedisSecured,
        Self::Kafka,
        Self::KafkaSecured,
        Self::KafkaController,
        Self::Registry,
        Self::RegistryDoor,
    ];

    const HIGHEST: u16 = 9094;

    const fn base(self) -> u16 {
        match self {
            Self::Nginx => 8000,
            Self::CommandApi => 8001,
            Self::QueryApi => 8002,
            Self::Projector => 8003,
            Self::Postgres => 5432,
            Self::Redis => 6379,
            Self::RedisSecured => 6380,
            Self::Kafka => 9092,
            Self::KafkaController => 9093,
            Self::KafkaSecured => Self::HIGHEST,
            Self::Registry => 8085,
            Self::RegistryDoor => 8086,
        }
    }
}

/// How far the ports of a stack lie above the documents' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ports {
    offset: u16,
}

impl Ports {
    /// Takes an offset under which every port still exists.
    pub fn new(offset: u16) -> Result<Self> {
        let highest_offset = u16::MAX - Listener::HIGHEST;
        if offset > highest_offset {
            bail!("PORT_OFFSET must be at most {highest_offset}, not {offset}");
        }
        Ok(Self { offset })
    }

    /// The first offset from `lowest` in steps under which nobody listens on any of the ports.
    pub fn free_from(lowest: u16) -> Result<Self> {
        const STEP: usize = 100;
        let is_free = |ports: &Self| {
            Listener::ALL
                .iter()
                .all(|listener| holder::of(ports.of(*listener)) == holder::Port::Free)
        };
        let mut plans = (lowest..).step_by(STEP).map_while(|offset| Self::new(offset).ok());
        plans.find(is_free).context("no offset has all its ports free")
    }

    /// The port of a listener that exists once.
    pub const fn of(self, listener: Listener) -> u16 {
        listener.base() + self.offset
    }

    /// The port of the `instance`th process of a kind, counted from 1.
    pub const fn of_instance(self, listener: Listener, instance: u16) -> u16 {
        self.of(listener) + (instance - 1) * INSTANCE_STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_offset_the_ports_are_the_documents_own() {
        assert_eq!(Ports::default().of(Listener::Nginx), 8000);
        assert_eq!(Ports::default().of(Listener::Postgres), 5432);
    }

    #[test]
    fn an_offset_moves_every_port() {
        let ports = Ports::new(20_000).unwrap();
        assert_eq!(ports.of(Listener::Kafka), 29_092);
        assert_eq!(ports.of_instance(Listener::Projector, 2), 28_013);
    }

    #[test]
    fn a_taken_port_moves_the_whole_plan() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let offset = port - Listener::Redis.base();
        assert_ne!(Ports::free_from(offset).unwrap().of(Listener::Redis), port);
    }

    #[test]
    fn an_offset_past_the_last_port_is_refused() {
        assert!(Ports::new(56_441).is_ok());
        assert!(Ports::new(56_442).is_err());
    }
}
