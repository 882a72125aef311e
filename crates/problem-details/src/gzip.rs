//! Bodies that come as gzip.

use std::io::{self, Read as _};

use flate2::bufread::GzDecoder;

use crate::{FieldError, Problem, ProblemType};

/// How much is decompressed before others get their turn.
const STEP: usize = 256 * 1024;

/// Decompresses a body of at most `limit` bytes, in steps: neither its room nor its time grows with
/// what it claims to be.
///
/// # Errors
/// `None` past the limit; 400 where it is not one whole gzip member and nothing else.
pub(crate) async fn decompressed(body: &[u8], limit: usize) -> Result<Vec<u8>, Option<Problem>> {
    let mut decoder = GzDecoder::new(body);
    let content = into_room(&mut decoder, limit).await;
    let content = content.map_err(|_| Some(broken("is not whole and intact gzip")))?;
    if content.len() > limit {
        return Err(None);
    }
    // A second member would be as legal as it is unheard of, and a thousand empty ones cost a lot.
    if decoder.into_inner().is_empty() {
        Ok(content)
    } else {
        Err(Some(broken("goes on after the end of its gzip member")))
    }
}

/// Reads to the end, or one byte past the limit.
async fn into_room(decoder: &mut GzDecoder<&[u8]>, limit: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let room = (limit + 1 - content.len()).min(STEP);
        let read = decoder.by_ref().take(room as u64).read_to_end(&mut content)?;
        if read < room || content.len() > limit {
            return Ok(content);
        }
        tokio::task::yield_now().await;
    }
}

fn broken(detail: &'static str) -> Problem {
    let error =
        FieldError { pointer: String::new(), rule: "gzip", limit: None, detail: detail.to_owned() };
    Problem::new(ProblemType::InvalidRequest, format!("the body {detail}")).with_errors(vec![error])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn compressed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    async fn read(body: &[u8], limit: usize) -> Result<Vec<u8>, Option<&'static str>> {
        let told = |problem: Option<Problem>| problem.map(|problem| problem.errors()[0].rule);
        decompressed(body, limit).await.map_err(told)
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_and_not_past_it() {
        for length in [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP] {
            let content: Vec<u8> = (0..length).map(|n| (n * n % 251) as u8).collect();
            let body = compressed(&content);
            assert_eq!(read(&body, length).await, Ok(content), "{length}");
            if length > 0 {
                assert_eq!(read(&body, length - 1).await, Err(None), "{length}");
            }
        }
    }

    #[tokio::test]
    async fn a_bomb_costs_no_more_than_the_limit() {
        let bomb = compressed(&vec![b'['; 64 << 20]);
        assert!(bomb.len() < 100_000, "it has {} bytes", bomb.len());
        let mut decoder = GzDecoder::new(&bomb[..]);
        assert_eq!(into_room(&mut decoder, 1 << 20).await.unwrap().len(), (1 << 20) + 1);
    }

    #[tokio::test]
    async fn what_is_not_one_whole_member_is_refused() {
        let whole = compressed(b"{\"device_id\":\"d\",\"payload\":1}");
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end], 100).await, Err(Some("gzip")), "the first {end}");
        }
        for place in [0, 1, 2, whole.len() - 9, whole.len() - 5, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[place] ^= 0x20;
            assert_eq!(read(&changed, 100).await, Err(Some("gzip")), "byte {place} changed");
        }
        for behind in [&b"\0"[..], b"{}", &whole] {
            let longer = [&whole, behind].concat();
            assert_eq!(read(&longer, 100).await, Err(Some("gzip")), "with {behind:?} behind");
        }
        assert_eq!(read(b"{\"device_id\":\"d\"}", 100).await, Err(Some("gzip")));
    }
}
