//! Every HTTP error as a problem document (RFC 9457) with a stable type.
