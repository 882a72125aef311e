//! What the tests share: the running stack, isolation per test, waits that say what they wait for. Never linked into a process.
