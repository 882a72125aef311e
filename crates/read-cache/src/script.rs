//! The scripts that move a key from one state to another, or charge buckets.

use std::sync::OnceLock;

use bytes::Bytes;
use fred::clients::{Client, WithOptions};
use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::{Key, Value};

use crate::redis::code_of;

/// A script with the hash by which Redis knows it, once Redis has told it.
pub(crate) struct Script {
    text: &'static str,
    hash: OnceLock<String>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal),*) => {
        impl Script {
            $(pub(crate) const $name: &Self = {
                static SCRIPT: Script =
                    Script { text: include_str!(concat!("scripts/", $file)), hash: OnceLock::new() };
                &SCRIPT
            };)*
        }
    };
}

scripts! {
    BEFORE_COMMIT = "before_commit.lua",
    AFTER_COMMIT = "after_commit.lua",
    CHARGE = "charge.lua",
    LEASE = "lease.lua",
    FILL = "fill.lua",
    GIVE_BACK = "give_back.lua",
    CLOCK = "clock.lua",
    MARK = "mark.lua",
    RENEW = "renew.lua"
}

impl Script {
    /// Runs it by its hash. A Redis that does not know it (it was restarted, or its scripts were
    /// flushed) has executed nothing and is given the text once.
    pub(crate) async fn run(
        &self,
        calls: &WithOptions<Client>,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Value, Error> {
        let keys: Vec<Key> = keys.into_iter().map(Key::from).collect();
        let arguments: Vec<Value> = arguments.into_iter().map(Value::Bytes).collect();
        let Some(hash) = self.hash.get() else {
            let hash = self.load(calls).await?;
            return calls.evalsha(hash, keys, arguments).await;
        };
        // Keys and texts are counted references: a copy costs little.
        match calls.evalsha(hash.as_str(), keys.clone(), arguments.clone()).await {
            Err(error) if code_of(&error) == Some("NOSCRIPT") => {
                let hash = self.load(calls).await?;
                calls.evalsha(hash, keys, arguments).await
            }
            answer => answer,
        }
    }

    async fn load(&self, calls: &WithOptions<Client>) -> Result<String, Error> {
        let hash: String = calls.script_load(self.text).await?;
        Ok(self.hash.get_or_init(|| hash).clone())
    }
}
