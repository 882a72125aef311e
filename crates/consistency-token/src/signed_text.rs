//! Texts of other kinds that readers get, keep unread and send back, such as the cursor of a page:
//! base64url without padding of content and MAC (the first 16 bytes of HMAC-SHA256).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use settings::keyed;
use sha2::Sha256;

use crate::TokenKey;
use crate::key::MAC_BYTES;

/// Longest text that is looked at.
const MAX_TEXT_BYTES: usize = 4 * 1024;

/// The key of one kind of text; cheap to clone, and never printed.
#[derive(Clone)]
pub struct SignedTextKey(Hmac<Sha256>);

impl TokenKey {
    /// The key of another kind of text, named by its purpose: what is signed for one purpose is no
    /// text of another, and never a token.
    pub fn for_texts(&self, purpose: &str) -> SignedTextKey {
        // The first part is as it has always been: texts that are out there are to read back.
        let mac = self.mac_of_parts(&[b"sealing", purpose.as_bytes()]);
        SignedTextKey(keyed(&mac))
    }
}

impl SignedTextKey {
    /// The content as text, of letters, digits, `-` and `_`. It is signed, not hidden, and reads
    /// back only where the context is the same.
    pub fn sign(&self, context: &[u8], content: &[u8]) -> String {
        let mac = self.mac(context, content).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([content, &mac[..MAC_BYTES]].concat())
    }

    /// The content of a text that [`Self::sign`] made in this context; `None` for any other.
    pub fn read(&self, context: &[u8], text: &str) -> Option<Vec<u8>> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, mac) = bytes.split_last_chunk::<MAC_BYTES>()?;
        self.mac(context, content).verify_truncated_left(mac).ok()?;
        bytes.truncate(bytes.len() - MAC_BYTES);
        Some(bytes)
    }

    fn mac(&self, context: &[u8], content: &[u8]) -> Hmac<Sha256> {
        let length = (context.len() as u64).to_be_bytes();
        self.0.clone().chain_update(length).chain_update(context).chain_update(content)
    }
}

impl fmt::Debug for SignedTextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedTextKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Token;

    fn tokens() -> TokenKey {
        TokenKey::derive(b"a secret")
    }

    fn key() -> SignedTextKey {
        tokens().for_texts("cursor")
    }

    #[test]
    fn a_text_of_another_deployment_purpose_or_context_is_none() {
        let text = key().sign(b"context", b"content");
        assert_eq!(key().read(b"context", &text).unwrap(), b"content");
        let other = TokenKey::derive(b"another secret").for_texts("cursor");
        assert_eq!(other.read(b"context", &text), None);
        assert_eq!(tokens().for_texts("another").read(b"context", &text), None);
        assert_eq!(key().read(b"another", &text), None);
        assert!(Token::decode(&text, &tokens()).is_err());
    }

    #[test]
    fn a_token_is_no_text_of_another_kind() {
        let token = Token::of_stream("s", 1).encode(&tokens());
        assert_eq!(key().read(b"", &token), None);
    }

    #[test]
    fn what_is_no_text_of_ours_is_refused() {
        for text in ["", "AQ", "not base64!", &"A".repeat(30_000)] {
            assert_eq!(key().read(b"", text), None, "{text}");
        }
        assert_eq!(format!("{:?}", key()), "SignedTextKey([redacted])");
    }

    proptest! {
        #[test]
        fn any_content_reads_back(content in any::<Vec<u8>>(), context in any::<Vec<u8>>()) {
            let text = key().sign(&context, &content);
            prop_assert_eq!(key().read(&context, &text), Some(content));
        }

        #[test]
        fn what_stands_before_the_content_is_not_the_context(
            content in any::<Vec<u8>>(), context in prop::collection::vec(any::<u8>(), 1..9),
        ) {
            let text = key().sign(&context, &content);
            prop_assert_eq!(key().read(&[], &text), None);
            let moved = key().sign(&context[..context.len() - 1], &content);
            prop_assert_eq!(key().read(&context, &moved), None);
        }

        #[test]
        fn a_text_with_any_bit_flipped_is_refused(
            content in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let mut text = key().sign(b"context", &content).into_bytes();
            let at = at.index(text.len());
            text[at] ^= 1_u8 << bit;
            if let Ok(text) = String::from_utf8(text) {
                prop_assert_eq!(key().read(b"context", &text), None);
            }
        }
    }
}
