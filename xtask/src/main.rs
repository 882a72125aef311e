//! Everything of the Makefile that has an if.
fn main() {}
