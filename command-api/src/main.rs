//! The command API's process.

use std::ffi::c_void;
use std::process::ExitCode;

/// Lets the Kafka client allocate through jemalloc in this process: of a producer's record, headers
/// included, it makes a dozen small allocations, which cost the C library's allocator a tenth of the
/// server's CPU time. The projector stays with the C library's: see `lifecycle`.
#[used]
static MALLOC: unsafe extern "C" fn(usize) -> *mut c_void = tikv_jemalloc_sys::malloc;

fn main() -> ExitCode {
    lifecycle::main::<command_api::App>()
}
