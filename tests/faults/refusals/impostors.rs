//! Servers that are not to be believed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use test_support::{Opening, TlsServer, World};
use xtask::stack::pki::{Authority, Certified, Validity};

use super::dependency::Dependency;

/// What OpenSSL says of a certificate.
const EXPIRED: &str = "expired";
const MISMATCH: &str = "ostname mismatch";
const UNKNOWN: &str = "unable to get local issuer certificate";

/// Servers with certificates that are wrong in one way each, and one that has none.
pub(super) struct Impostors {
    authorities: PathBuf,
    certified: Vec<Impostor>,
    without_tls: TlsServer,
}

/// A certificate that is wrong, at a server that begins with TLS and one that begins as Postgres does.
pub(super) struct Impostor {
    /// What is wrong with it.
    pub(super) what: &'static str,
    /// How OpenSSL calls that.
    pub(super) reason: &'static str,
    at_once: TlsServer,
    as_postgres: TlsServer,
}

impl Impostors {
    pub(super) async fn start(world: &World, of: &str) -> Result<Self> {
        let (known, stranger) = (Authority::new()?, Authority::new()?);
        let stacks = std::fs::read_to_string(world.stack().variable("SECURED_CA_PATH")?)?;
        let authorities = world.dir().join(format!("authorities-of-{of}.pem"));
        std::fs::write(&authorities, format!("{stacks}{}", known.pem()))?;
        let here = ["localhost", "127.0.0.1"];
        let lapsed = known.certify(&here, Validity::Lapsed)?;
        let elsewhere = known.certify(&["elsewhere.example"], Validity::Current)?;
        let unknown = stranger.certify(&here, Validity::Current)?;
        Ok(Self {
            authorities,
            without_tls: TlsServer::start(&lapsed, Opening::PostgresWithoutTls).await?,
            certified: vec![
                Impostor::start("a certificate that has lapsed", &lapsed, EXPIRED).await?,
                Impostor::start("a certificate of another host", &elsewhere, MISMATCH).await?,
                Impostor::start("a certificate by nobody we believe", &unknown, UNKNOWN).await?,
            ],
        })
    }

    /// Believes the stack's authority, and the one that signed two of the certificates.
    pub(super) fn authorities(&self) -> &Path {
        &self.authorities
    }

    /// Those with a certificate.
    pub(super) fn certified(&self) -> &[Impostor] {
        &self.certified
    }

    /// A Postgres that speaks no TLS.
    pub(super) fn without_tls(&self) -> String {
        self.without_tls.address()
    }
}

impl Impostor {
    async fn start(
        what: &'static str,
        certified: &Certified,
        reason: &'static str,
    ) -> Result<Self> {
        let at_once = TlsServer::start(certified, Opening::Tls).await?;
        let as_postgres = TlsServer::start(certified, Opening::PostgresWithTls).await?;
        Ok(Self { what, reason, at_once, as_postgres })
    }

    /// Where it speaks as a dependency does.
    pub(super) fn address(&self, dependency: Dependency) -> String {
        match dependency {
            Dependency::Postgres => self.as_postgres.address(),
            Dependency::Kafka | Dependency::Registry | Dependency::Redis => self.at_once.address(),
        }
    }
}
