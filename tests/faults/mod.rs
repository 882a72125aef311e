//! What breaks, and what must hold meanwhile and afterwards.

mod alerts;
mod any_split;
mod broker;
mod cache;
mod crashes;
mod database;
mod decisions;
mod keys;
mod letter_crashes;
mod letters;
mod log_identity;
mod logins;
mod outages;
mod redelivery;
mod refusals;
mod revocations;
mod sequenced;
mod steps;
