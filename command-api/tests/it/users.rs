//! Users: what people and admins see who decide about them, and what is left in store and log.

mod access;
mod administered;
mod erased;
mod profile;
mod recorded;
mod registering;
mod vouched;
