//! Times of seconds, which people also write with a unit.

/// Seconds of each unit.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];

/// Reads `900`, `900s`, `15m`, `1h` or `1d` as seconds; nothing else: no sign, no fraction, no two units.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let with_unit = |(unit, seconds)| Some((text.strip_suffix::<char>(unit)?, seconds));
    let (digits, seconds) = UNITS.into_iter().find_map(with_unit).unwrap_or((text, 1));
    // A number may else begin with a plus.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_of_seconds() {
        for (text, seconds) in
            [("900", 900), ("900s", 900), ("15m", 900), ("1h", 3_600), ("2d", 172_800), ("0", 0)]
        {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_time_is_none() {
        let too_long = format!("{}d", u64::MAX);
        let others = ["", "s", "-1", "+1", "1.5h", "15 m", " 15m", "1h30m", "15M", "15ms", "1_0"];
        for text in others.into_iter().chain([too_long.as_str()]) {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
