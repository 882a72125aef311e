//! What is to be made of an error of TLS.

/// How OpenSSL and its bindings tell of a connection that ended in the middle of a handshake: with the
/// text of an error, or with its fields where a library keeps nothing else.
const BROKE_OFF: [&str; 5] =
    ["unexpected EOF", "unexpected eof", "os error", "ErrorCode(5)", "SYSCALL"];

/// Whether a handshake failed because the connection ended, and not because one side did not believe or
/// understand the other: what is at the other end may be away, and come back.
pub fn broke_off(error: &str) -> bool {
    BROKE_OFF.iter().any(|text| error.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ends_is_told_from_a_server_that_is_not_believed() {
        for error in [
            "unexpected EOF",
            "error:0A000126:SSL routines::unexpected eof while reading",
            "Connection reset by peer (os error 104)",
            "Ssl(Error { code: ErrorCode(5), cause: None }, X509VerifyResult { code: 0 })",
        ] {
            assert!(broke_off(error), "{error}");
        }
        for error in [
            "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed",
            "Ssl(Error { code: ErrorCode(1), cause: Some(Ssl(ErrorStack([Error { reason: \"wrong version number\" }]))) })",
            "server does not support TLS",
        ] {
            assert!(!broke_off(error), "{error}");
        }
    }
}
