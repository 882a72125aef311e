//! Tests of the whole system over the real stack.
