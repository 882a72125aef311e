//! What mails say. Nothing in them was written by whoever caused them but the recipient's address:
//! nobody can have us deliver a text of theirs.

use std::time::Duration;

use uuid::Uuid;

use super::{Mail, PublicUrl};
use crate::percent_encoding;

/// Where a verification token is taken.
const VERIFY_EMAIL: &str = "/api/v1/auth/verify-email";

/// Asks whether the address is the person's own: whoever confirms it where the link leads has read the mail.
pub fn verify_email(
    id: Uuid,
    to: String,
    public_url: &PublicUrl,
    token: &str,
    holds_for: Duration,
) -> Mail {
    let token = percent_encoding::encoded(token);
    let link = public_url.at(&format!("{VERIFY_EMAIL}?token={token}"));
    let time = in_words(holds_for);
    let text = format!(
        "Somebody uses this e-mail address for an account at {public_url}.\n\n\
         If that was you, follow this link within {time} and confirm there that the address is \
         yours:\n\n\
         {link}\n\n\
         If it was not you, there is nothing to do: an address that nobody confirms is given free \
         again.\n"
    );
    Mail { id, to, subject: "Confirm your e-mail address".to_owned(), text }
}

/// A time in the largest unit that divides it.
fn in_words(time: Duration) -> String {
    const MINUTE: u64 = 60;
    let seconds = time.as_secs();
    let units = [(24 * 60 * MINUTE, "day"), (60 * MINUTE, "hour"), (MINUTE, "minute")];
    let fits = |&&(unit, _): &&(u64, &str)| seconds >= unit && seconds.is_multiple_of(unit);
    let (unit, name) = units.iter().find(fits).copied().unwrap_or((1, "second"));
    let count = seconds / unit;
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_carries_the_token_and_stands_in_a_line_of_its_own() {
        let url = PublicUrl::parse("https://app.example.com").unwrap();
        let to = "ann@example.com".to_owned();
        let mail = verify_email(Uuid::nil(), to, &url, "aZ0-_", Duration::from_secs(86_400));
        assert_eq!(
            (mail.to.as_str(), mail.subject.as_str()),
            ("ann@example.com", "Confirm your e-mail address")
        );
        let link = "https://app.example.com/api/v1/auth/verify-email?token=aZ0-_";
        assert_eq!(mail.text.lines().filter(|line| *line == link).count(), 1, "{}", mail.text);
        assert!(mail.text.contains(" within 1 day "), "{}", mail.text);
    }

    #[test]
    fn a_token_cannot_add_to_the_link_or_the_text() {
        let url = PublicUrl::parse("http://127.0.0.1:8000").unwrap();
        let token = "a&b=c#d\r\nhttp://evil.example";
        let mail = verify_email(Uuid::nil(), String::new(), &url, token, Duration::ZERO);
        let link = "verify-email?token=a%26b%3Dc%23d%0D%0Ahttp%3A%2F%2Fevil.example\n";
        assert!(mail.text.contains(link), "{}", mail.text);
    }

    #[test]
    fn a_time_is_told_in_the_largest_unit_that_divides_it() {
        for (seconds, words) in [
            (172_800, "2 days"),
            (86_400, "1 day"),
            (90_000, "25 hours"),
            (3_600, "1 hour"),
            (900, "15 minutes"),
            (90, "90 seconds"),
            (1, "1 second"),
            (0, "0 seconds"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
