//! The trace something belongs to, as W3C Trace Context writes it.

use std::fmt;

/// `00-<trace id>-<parent id>-<flags>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace, never zero.
    pub trace_id: u128,
    /// The span that caused this, never zero.
    pub parent_id: u64,
    /// Whether the caller recorded it. A stranger's wish, not an order.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads a header. A later version is read as far as this one goes, as the standard asks.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(value: &T) -> Option<Self> {
        let text = std::str::from_utf8(value.as_ref()).ok()?;
        let head = text.get(..55)?;
        let mut parts = head.split('-');
        let (version, trace, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_whole = match version {
            "00" => text.len() == 55,
            _ => matches!(text.as_bytes().get(55), None | Some(b'-')),
        };
        if !is_whole || version == "ff" || parts.next().is_some() {
            return None;
        }
        hex(version, 2)?;
        let trace_id = hex(trace, 32)?;
        let parent_id = u64::try_from(hex(parent, 16)?).ok()?;
        let flags = hex(flags, 2)?;
        (trace_id != 0 && parent_id != 0).then_some(Self {
            trace_id,
            parent_id,
            is_sampled: flags & 1 == 1,
        })
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_lower_hex =
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_lower_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.parent_id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<TraceParent> {
        TraceParent::parse(text)
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn the_standard_s_example_is_read() {
        let parent = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!(parent.parent_id, 0x00f0_67aa_0ba9_02b7);
        assert!(parent.is_sampled);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_this_one_goes() {
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-01-what-comes-later")).is_some());
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-01x")).is_none());
    }

    #[test]
    fn what_the_standard_forbids_is_not_read() {
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for text in [
            String::new(),
            format!("00-{no_trace}-{SPAN}-01"),
            format!("00-{TRACE}-{no_span}-01"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0g"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_trace_reads_back_as_written(trace_id in 1u128.., parent_id in 1u64.., is_sampled: bool) {
            let parent = TraceParent { trace_id, parent_id, is_sampled };
            prop_assert_eq!(parse(&parent.to_string()), Some(parent));
        }
    }
}
