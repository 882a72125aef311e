//! What breaks, and what must hold meanwhile and afterwards.

mod alerts;
mod any_split;
mod broker;
mod cache;
mod crashes;
mod database;
mod decisions;
mod letter_crashes;
mod letters;
mod log_identity;
mod outages;
mod redelivery;
mod refusals;
mod sequenced;
mod steps;
