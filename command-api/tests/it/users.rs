//! Users: what people and admins see who decide about them, and what is left in store and log.

mod access;
mod addresses;
mod administered;
mod erased;
mod passwords;
mod profile;
mod recorded;
mod registering;
mod vouched;
