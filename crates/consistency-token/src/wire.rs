//! A token as text: base64url without padding of
//!
//! ```text
//! version 1 | groups | MAC (first 16 bytes of HMAC-SHA256 over all before it)
//! group     = 0 topic epoch count (partition offset){count}  |  1 id version
//! ```
//!
//! where numbers are unsigned LEB128 and texts are length and UTF-8. Groups are sorted and numbers
//! as short as possible, so that a token has one text only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::key::MAC_BYTES;
use crate::token::{MAX_ENTRIES, Partition};
use crate::{Token, TokenKey};

const VERSION: u8 = 1;
const LOG: u8 = 0;
const STREAM: u8 = 1;

/// Longest text that is looked at: [`MAX_ENTRIES`] streams with the longest ids.
const MAX_TEXT_BYTES: usize = 24 * 1024;

/// Why a text is no token of this deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no base64url, or longer than any token.
    #[error("the consistency token is not readable")]
    Unreadable,
    /// It was not signed by this deployment, or was changed since.
    #[error("the consistency token was not made here or was changed")]
    WrongSignature,
    /// It is of a version that this process does not know.
    #[error("the consistency token is of version {0}, which is not known here")]
    UnknownVersion(u8),
    /// It is signed and cannot be read all the same.
    #[error("the consistency token is signed but malformed")]
    Malformed,
}

impl Token {
    /// The token as text, of letters, digits, `-` and `_`.
    pub fn encode(&self, key: &TokenKey) -> String {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(VERSION);
        self.write_logs(&mut bytes);
        for (id, version) in &self.streams {
            bytes.push(STREAM);
            write_text(&mut bytes, id);
            write_number(&mut bytes, *version);
        }
        let mac = key.mac(&bytes);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn write_logs(&self, bytes: &mut Vec<u8>) {
        let logs: Vec<_> = self.logs.iter().collect();
        let same_topic = |a: &(&Partition, &u64), b: &(&Partition, &u64)| {
            a.0.topic == b.0.topic && a.0.epoch == b.0.epoch
        };
        for group in logs.chunk_by(same_topic) {
            let first = group[0].0;
            bytes.push(LOG);
            write_text(bytes, &first.topic);
            write_number(bytes, first.epoch.into());
            write_number(bytes, group.len() as u64);
            for (at, offset) in group {
                write_number(bytes, at.partition.into());
                write_number(bytes, **offset);
            }
        }
    }

    /// Reads a token that [`Token::encode`] wrote with the same key.
    ///
    /// # Errors
    /// See [`TokenError`]; nothing in the text is believed before its signature is verified.
    pub fn decode(text: &str, key: &TokenKey) -> Result<Self, TokenError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TokenError::Unreadable);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Unreadable)?;
        let Some((signed, mac)) = bytes.split_last_chunk::<MAC_BYTES>() else {
            return Err(TokenError::Unreadable);
        };
        if !key.verifies(signed, mac) {
            return Err(TokenError::WrongSignature);
        }
        let token = match signed {
            [VERSION, groups @ ..] => read_groups(groups).ok_or(TokenError::Malformed)?,
            [other, ..] => return Err(TokenError::UnknownVersion(*other)),
            [] => return Err(TokenError::Malformed),
        };
        if token.len() > MAX_ENTRIES { Err(TokenError::Malformed) } else { Ok(token) }
    }
}

fn read_groups(mut bytes: &[u8]) -> Option<Token> {
    let mut token = Token::default();
    while let Some((tag, rest)) = bytes.split_first() {
        bytes = rest;
        match *tag {
            LOG => {
                let topic = read_text(&mut bytes)?;
                let epoch = u32::try_from(read_number(&mut bytes)?).ok()?;
                for _ in 0..read_number(&mut bytes)? {
                    let partition = u32::try_from(read_number(&mut bytes)?).ok()?;
                    let at = Partition { topic: topic.to_owned(), epoch, partition };
                    token.logs.insert(at, read_number(&mut bytes)?);
                }
            }
            STREAM => {
                let id = read_text(&mut bytes)?.to_owned();
                token.streams.insert(id, read_number(&mut bytes)?);
            }
            _ => return None,
        }
    }
    Some(token)
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn read_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(read_number(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}
