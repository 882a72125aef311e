//! The keys that sign access tokens.
//!
//! They stand in the table `signing_keys`, their private parts sealed. Every row's public part is
//! published; of those whose time has come, the one that began last signs. So a new key is published before it
//! signs, and an old one after it did, for as long as a token of its may live: whoever verifies knows every
//! key that he meets. A process signs by what it read last, whatever becomes of the database.

mod key;
mod published;
mod sealing;
mod table;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwapOption;

pub use key::{Key, PrivateKey, PublicKey, kid_of};
pub use published::Keys;
pub use sealing::SealingKey;
pub(crate) use table::{KeyTable, RevokedKey, RotateError};
pub(crate) use watch::watch;

/// What a process knows of the keys. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys(Arc<ArcSwapOption<Keys>>);

impl SigningKeys {
    /// Known already.
    pub fn new(keys: Keys) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(keys)))
    }

    /// The keys as they were read last; `None` before they were read for the first time.
    pub fn get(&self) -> Option<Arc<Keys>> {
        self.0.load_full()
    }

    fn put(&self, keys: Keys) {
        self.0.store(Some(Arc::new(keys)));
    }
}
