//! Steps at which a test can end or delay a process, named in the code by [`failpoint!`]. What a test
//! may say is in `docs/testing.md`.

#[cfg(feature = "on")]
#[doc(hidden)]
pub mod step;

/// A step at which a test can end or delay the process, in an async function. Without the feature
/// `on`, which no release has, it is no code at all.
#[cfg(not(feature = "on"))]
#[macro_export]
macro_rules! failpoint {
    ($step:literal) => {};
}

/// A step at which a test can end or delay the process, in an async function. Without the feature
/// `on`, which no release has, it is no code at all.
#[cfg(feature = "on")]
#[macro_export]
macro_rules! failpoint {
    ($step:literal) => {
        $crate::step::reach($step).await
    };
}
