//! Tests of the whole system over the real stack: what users do, what breaks, what is promised.

mod contract;
mod faults;
mod journeys;
