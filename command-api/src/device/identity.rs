//! Which event a request is: its id and the hash of what it says.
//!
//! Both are stored for ever and compared with those of retries, so neither formula ever changes.

use domain::device::{BodyHash, Dedupe, DeviceId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The identity of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) request_id: Uuid,
    pub(crate) dedupe: Dedupe,
    pub(crate) body_hash: Option<BodyHash>,
}

/// Who named an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// Nobody: every request is a new event.
    Nobody,
    /// The client, by an `Idempotency-Key`.
    Key,
    /// The client, by a CloudEvent's `source` and `id`.
    Event,
}

/// What a client's own id of an event means only together with: the same key of another caller or
/// for another device is another event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientId<'a> {
    /// `iss` of the caller.
    pub(crate) issuer: &'a str,
    /// `sub` of the caller.
    pub(crate) subject: &'a str,
    /// The CloudEvents source; empty where the key is an `Idempotency-Key`.
    pub(crate) source: &'a str,
    /// The `Idempotency-Key`, or the CloudEvents id.
    pub(crate) key: &'a str,
    /// The event's place in the request that the key names; 0 where it names the event.
    pub(crate) item: u32,
}

/// What the client reported, as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reported<'a> {
    pub(crate) device_id: &'a DeviceId,
    pub(crate) occurred_at: Option<&'a str>,
    pub(crate) payload: &'a str,
}

impl Identity {
    /// Of an event that the client named: the same for every retry.
    pub(crate) fn of_client(id: ClientId<'_>, reported: Reported<'_>) -> Self {
        Self {
            request_id: id.request_id(reported.device_id),
            dedupe: Dedupe::Client,
            body_hash: Some(reported.hash()),
        }
    }

    /// Of an event that nobody named: every request is a new one.
    pub(crate) fn new() -> Self {
        Self { request_id: Uuid::now_v7(), dedupe: Dedupe::None, body_hash: None }
    }
}

impl ClientId<'_> {
    /// Whether a key or a CloudEvent gave it.
    pub(crate) fn named(self) -> Named {
        if self.source.is_empty() { Named::Key } else { Named::Event }
    }

    fn request_id(self, device_id: &DeviceId) -> Uuid {
        let mut hash = Sha256::new();
        for part in
            ["millrace event id 1", self.issuer, self.subject, device_id.as_str(), self.source]
        {
            update(&mut hash, part);
        }
        update(&mut hash, self.key);
        hash.update(self.item.to_be_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Uuid::new_v8(bytes)
    }
}

impl Reported<'_> {
    fn hash(self) -> BodyHash {
        let mut hash = Sha256::new();
        update(&mut hash, "millrace event body 1");
        update(&mut hash, self.device_id.as_str());
        hash.update([u8::from(self.occurred_at.is_some())]);
        update(&mut hash, self.occurred_at.unwrap_or_default());
        update(&mut hash, self.payload);
        hash.finalize().into()
    }
}

/// Length before text, so that no two lists of texts are hashed alike.
fn update(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// issuer, subject, device, source, key, item, occurred_at, payload
    type Parts = (String, String, String, String, String, u32, Option<String>, String);

    fn identity(parts: &Parts) -> Identity {
        let (issuer, subject, device_id, source, key, item, occurred_at, payload) = parts;
        let device_id = DeviceId::parse(device_id.as_str(), 128).unwrap();
        let id = ClientId { issuer, subject, source, key, item: *item };
        let occurred_at = occurred_at.as_deref();
        Identity::of_client(id, Reported { device_id: &device_id, occurred_at, payload })
    }

    fn parts() -> impl Strategy<Value = Parts> {
        let text = || "[ab]{0,2}";
        let name = || "[ab]{1,2}";
        let occurred_at = proptest::option::of(text());
        (text(), text(), name(), text(), name(), 0..2_u32, occurred_at, text())
    }

    #[test]
    fn the_formulas_are_the_published_ones() {
        let parts = (
            "millrace".into(),
            "device-tester".into(),
            "device-123".into(),
            String::new(),
            "8e03978e".into(),
            0,
            None,
            r#"{"status":"ok"}"#.into(),
        );
        let identity = identity(&parts);
        assert_eq!(identity.request_id.to_string(), "68c0738c-c21a-8113-a7e2-9c25e297743f");
        let hash: String =
            identity.body_hash.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "bf16c4f7efbf5857225ad568f970c9abd4091f4cc49a6552d8ff49559fcc58d5");
    }

    #[test]
    fn an_event_that_nobody_named_is_a_new_one_each_time() {
        let (a, b) = (Identity::new(), Identity::new());
        assert_ne!(a.request_id, b.request_id);
        assert_eq!(
            (a.request_id.get_version_num(), a.dedupe, a.body_hash),
            (7, Dedupe::None, None)
        );
    }

    proptest! {
        #[test]
        fn two_events_are_one_exactly_if_all_that_names_them_is_equal(a in parts(), b in parts()) {
            let name = |p: &Parts| (p.0.clone(), p.1.clone(), p.2.clone(), p.3.clone(), p.4.clone(), p.5);
            let body = |p: &Parts| (p.2.clone(), p.6.clone(), p.7.clone());
            let (x, y) = (identity(&a), identity(&b));
            prop_assert_eq!(x.request_id == y.request_id, name(&a) == name(&b));
            prop_assert_eq!(x.body_hash == y.body_hash, body(&a) == body(&b));
            prop_assert_eq!(x.request_id.get_version_num(), 8);
        }
    }
}
