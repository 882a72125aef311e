//! The buckets that processes share: what is asked of whoever keeps them.

use crate::{Class, LimitKey, MAX_QUOTAS};

/// What one caller's buckets of one class are to be charged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Whose.
    pub key: LimitKey,
    /// Of which class.
    pub class: Class,
    pub(crate) quotas: usize,
    pub(crate) nanos: [u64; MAX_QUOTAS],
}

impl Charge {
    /// For each quota of the class, in their order: the nanoseconds in which what was let through flows in
    /// again.
    pub fn nanos(&self) -> &[u64] {
        self.nanos.get(..self.quotas).unwrap_or(&self.nanos)
    }
}

/// How far one caller's buckets of one class are from full: for each quota, in their order, in how many
/// nanoseconds it is. It may be more than the window: then the bucket owes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Debts {
    pub(crate) nanos: [u64; MAX_QUOTAS],
}

impl FromIterator<u64> for Debts {
    /// Those that are missing are 0, those that are too many are passed over.
    fn from_iter<I: IntoIterator<Item = u64>>(nanos: I) -> Self {
        let mut debts = Self::default();
        for (debt, nanos) in debts.nanos.iter_mut().zip(nanos) {
            *debt = nanos;
        }
        debts
    }
}

/// It is not known that the buckets were charged; they may have been, or may yet be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared buckets do not answer")]
pub struct NotCharged;

/// Whoever keeps the buckets. Of a bucket nothing is kept but when it is full again: a charge moves that time
/// from what it was, or from now where that is later, by as much as it says. A bucket of which nothing is
/// known is full.
pub trait SharedBuckets: Send + Sync + 'static {
    /// Charges all of these, in their order and each at once, and tells where each stands then. It ends in
    /// time, whatever becomes of it.
    ///
    /// # Errors
    /// [`NotCharged`]
    fn charge(
        &self,
        charges: &[Charge],
    ) -> impl Future<Output = Result<Vec<Debts>, NotCharged>> + Send;
}
