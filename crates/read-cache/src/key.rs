//! The names under which a deployment keeps things in Redis.

use std::fmt;
use std::sync::Arc;

use settings::Prefix;

/// Names the keys of one deployment.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys that begin with the deployment's prefix: `resource:<id>`, or `acme:resource:<id>`.
    pub fn new(prefix: &Prefix) -> Self {
        let prefix = prefix.to_string();
        Self { prefix: if prefix.is_empty() { prefix } else { format!("{prefix}:") } }
    }

    /// Matches every key of the deployment, in Redis' way of matching; without a prefix, every key.
    pub(crate) fn pattern(&self) -> String {
        // A prefix has letters, digits and `_`, none of which means anything else there.
        format!("{}*", self.prefix)
    }

    /// The key of one thing of a read model, which `noun` names.
    pub fn of(&self, noun: &str, id: &str) -> CacheKey {
        CacheKey(format!("{}{noun}:{id}", self.prefix))
    }

    /// The trust key of a projection's partition, and the keys beside it.
    pub fn trust(&self, projection: &str, partition: i32) -> TrustKey {
        let of = |what| format!("{}{what}:{projection}:{partition}", self.prefix);
        TrustKey(Arc::new(PartitionKeys {
            live: of("live"),
            mark: of("mark"),
            window: of("commit"),
        }))
    }
}

/// A key in one of the four states.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(String);

/// A key that holds the cache generation of a partition, while somebody vouches for it; and the two
/// other keys that a partition has, its mark and its window. Clones share them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustKey(Arc<PartitionKeys>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PartitionKeys {
    live: String,
    mark: String,
    window: String,
}

impl CacheKey {
    /// As Redis knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TrustKey {
    /// As Redis knows it.
    pub fn as_str(&self) -> &str {
        &self.0.live
    }

    /// The key beside it that tells whether Redis was emptied.
    pub fn mark(&self) -> &str {
        &self.0.mark
    }

    /// The key beside it that stands while a lane commits in the partition: no lease is given.
    pub fn window(&self) -> &str {
        &self.0.window
    }
}

impl fmt::Display for TrustKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_the_deployment_s_prefix() {
        let keys = Keys::new(&Prefix::default());
        assert_eq!(keys.of("resource", "device-1").as_str(), "resource:device-1");
        assert_eq!(keys.trust("resource", 3).as_str(), "live:resource:3");
        assert_eq!(keys.trust("resource", 3).mark(), "mark:resource:3");
        assert_eq!(keys.trust("resource", 3).window(), "commit:resource:3");
        assert_eq!(keys.pattern(), "*");
        let keys = Keys::new(&Prefix::parse("acme").unwrap());
        assert_eq!(keys.of("resource", "device-1").as_str(), "acme:resource:device-1");
        assert_eq!(keys.trust("resource", 3).as_str(), "acme:live:resource:3");
        assert_eq!(keys.trust("resource", 3).window(), "acme:commit:resource:3");
        assert_eq!(keys.pattern(), "acme:*");
    }
}
