//! Every setting of every process: one table, read once, refused by name when wrong.
//!
//! A setting is a constant in [`table`]; [`Settings`] reads it from a look-up of variables, never
//! from the environment itself, so that a test can configure a process without touching its own.
//! All faults are collected, so that one start names all of them.

pub mod table;

mod authorities;
mod keyed;
mod markdown;
mod prefix;
mod reader;
mod seconds;
mod tls;
mod token_secret;
mod url;

pub use authorities::Authorities;
pub use keyed::keyed;
pub use prefix::{Prefix, changed_channel};
pub use reader::{Effective, Settings, SettingsError};
pub use tls::broke_off;
pub use token_secret::TokenSecret;
pub use url::without_userinfo;

/// One setting: the row of the configuration table that documents it.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable. `<NAME>_FILE` is accepted for a [`Kind::Secret`].
    pub name: &'static str,
    /// Other variables that mean the same; two of them with different values are a contradiction.
    pub aliases: &'static [&'static str],
    /// What holds when the variable is absent; `None` where nothing does: a process then needs
    /// it, or does without it, as `about` says.
    pub default: Option<&'static str>,
    /// How the text is read and what is refused.
    pub kind: Kind,
    /// What it decides, in one sentence.
    pub about: &'static str,
}

/// How the text of a setting is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// Any text that is not empty; never printed, and readable from the file `<NAME>_FILE` names.
    Secret,
    /// A whole number between the bounds, both included.
    Number {
        /// Smallest value taken.
        min: u64,
        /// Largest value taken.
        max: u64,
    },
    /// A time in milliseconds between the bounds, both included.
    Millis {
        /// Smallest value taken.
        min: u64,
        /// Largest value taken.
        max: u64,
    },
    /// A time in seconds between the bounds, both included: `900`, or with a unit, such as `15m`.
    Seconds {
        /// Smallest value taken.
        min: u64,
        /// Largest value taken.
        max: u64,
    },
    /// One of the words.
    OneOf(&'static [&'static str]),
    /// The address of a service; printed without the user and password in it.
    Url,
    /// An address to listen on, `<ip>:<port>`; port 0 takes a free one.
    SocketAddress,
}
