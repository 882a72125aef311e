//! Certificate authorities and certificates of servers, for stacks and tests.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// From when certificates hold.
const FROM_YEAR: i32 = 2020;

/// Until when they hold: far beyond any stack.
const UNTIL_YEAR: i32 = 2120;

/// Somebody who signs certificates. Its key is never written down.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate and its key, both as PEM.
pub struct Certified {
    /// What it shows.
    pub certificate: String,
    /// What it keeps.
    pub key: String,
}

/// Until when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It holds now.
    Current,
    /// It held for a year, long ago.
    Lapsed,
}

impl Authority {
    /// A new one, which nobody believes yet.
    ///
    /// # Errors
    /// There is no randomness for its key.
    pub fn new() -> Result<Self> {
        let mut own = params(&[], Validity::Current)?;
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Two of the same name would be taken for each other.
        let name = format!("Millrace local authority {}", uuid::Uuid::now_v7().simple());
        own.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().context("making the key of an authority")?;
        let issuer = CertifiedIssuer::self_signed(own, key).context("making an authority")?;
        Ok(Self(issuer))
    }

    /// Its certificate, which those who believe it are given.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certifies a new key for a server of these names; numbers count as addresses.
    ///
    /// # Errors
    /// A name is none.
    pub fn certify(&self, names: &[&str], validity: Validity) -> Result<Certified> {
        let mut server = params(names, validity)?;
        server.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or(""));
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("making the key of a server")?;
        let certificate = server.signed_by(&key, &self.0).context("signing a certificate")?;
        Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn params(names: &[&str], validity: Validity) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).context("a server's name")?;
    let until = match validity {
        Validity::Current => UNTIL_YEAR,
        Validity::Lapsed => FROM_YEAR + 1,
    };
    params.not_before = date_time_ymd(FROM_YEAR, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}
