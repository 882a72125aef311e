//! The deploy steps: migrations, topics and schemas. Services never do any of this at their start.
//!
//! Each step takes all it needs, changes only what is missing, and may be repeated. They run in the
//! order [`migrate`], [`topics`], [`schemas`]: the last two record what they did in tables of the
//! first, where services read it.

mod dictionary;
mod grants;
mod migrations;
mod registry;
mod schemas;
mod target;
mod topics;

pub use dictionary::dictionary;
pub use migrations::migrate;
pub use schemas::schemas;
pub use target::Target;
pub use topics::topics;
