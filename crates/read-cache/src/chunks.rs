//! How the calls around a commit are cut.

use bytes::Bytes;

use crate::key::CacheKey;

/// Keys of one script call: Redis does nothing else meanwhile.
pub(crate) const CHUNK_KEYS: usize = 1_000;
/// Bytes of bodies of one script call.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// A key to be visited after a commit.
pub(crate) struct Visit {
    pub(crate) key: CacheKey,
    /// The new body, and when it lapses.
    pub(crate) body: Option<(Bytes, i64)>,
}

/// Cuts visits by keys and bytes.
pub(crate) fn chunks(visits: &[Visit]) -> impl Iterator<Item = &[Visit]> {
    let mut rest = visits;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |visit: &&Visit| {
            bytes += visit.body.as_ref().map_or(0, |(text, _)| text.len());
            bytes <= CHUNK_BYTES
        };
        let count = rest.iter().take(CHUNK_KEYS).take_while(fits).count().max(1);
        let (chunk, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(chunk)
    })
}

/// The windows go with the first chunk, alone if there is none. Without either there is no call.
pub(crate) fn with_windows<'a, T: 'a>(
    mut windows: Vec<String>,
    mut chunks: impl Iterator<Item = &'a [T]>,
) -> impl Iterator<Item = (Vec<String>, &'a [T])> {
    std::iter::from_fn(move || {
        let (windows, chunk) = (std::mem::take(&mut windows), chunks.next());
        (chunk.is_some() || !windows.is_empty()).then(|| (windows, chunk.unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::Keys;

    proptest! {
        #[test]
        fn chunks_hold_every_visit_once_in_order_and_none_is_too_large(
            sizes in prop::collection::vec(0usize..3_000_000, 0..40),
            more in 0usize..2_500,
        ) {
            let keys = Keys::default();
            let sizes: Vec<_> = sizes.into_iter().chain(std::iter::repeat_n(0, more)).collect();
            let visits: Vec<_> = sizes.iter().enumerate().map(|(place, size)| Visit {
                key: keys.of("thing", &place.to_string()),
                body: (*size > 0).then(|| (Bytes::from(vec![b'x'; *size]), 1)),
            }).collect();
            let cut: Vec<_> = chunks(&visits).collect();
            let together: Vec<_> = cut.iter().flat_map(|chunk| chunk.iter().map(|v| &v.key)).collect();
            prop_assert_eq!(together, visits.iter().map(|v| &v.key).collect::<Vec<_>>());
            for chunk in cut {
                let bytes: usize = chunk.iter().filter_map(|v| Some(v.body.as_ref()?.0.len())).sum();
                prop_assert!(chunk.len() <= CHUNK_KEYS);
                prop_assert!(bytes <= CHUNK_BYTES || chunk.len() == 1);
            }
        }
    }
}
