//! What mails say. Nothing in them was written by whoever caused them but the recipient's address:
//! nobody can have us deliver a text of theirs.

use std::time::Duration;

use uuid::Uuid;

use super::{Mail, PublicUrl};
use crate::percent_encoding;

/// Where a verification token is taken.
const VERIFY_EMAIL: &str = "/api/v1/auth/verify-email";

/// Where the token of somebody is taken who has forgotten their password.
const RESET_PASSWORD: &str = "/api/v1/auth/reset-password";

/// Where the token of somebody is taken who wants to be registered.
const CONFIRM_REGISTRATION: &str = "/api/v1/auth/confirm-registration";

/// Asks whether the address is the person's own: whoever confirms it where the link leads has read the mail.
pub fn verify_email(
    id: Uuid,
    to: String,
    public_url: &PublicUrl,
    token: &str,
    holds_for: Duration,
) -> Mail {
    let link = link(public_url, VERIFY_EMAIL, token);
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

/// Lets somebody have another password who has forgotten theirs.
pub fn reset_password(
    id: Uuid,
    to: String,
    public_url: &PublicUrl,
    token: &str,
    holds_for: Duration,
) -> Mail {
    let link = link(public_url, RESET_PASSWORD, token);
    let time = in_words(holds_for);
    let text = format!(
        "Somebody says that they have forgotten the password of your account at {public_url}.\n\n\
         If that was you, follow this link within {time} and choose a new password there. You will \
         be logged out everywhere:\n\n\
         {link}\n\n\
         If it was not you, there is nothing to do: your password is what it was, and nobody was \
         told whether there is an account of yours.\n"
    );
    Mail { id, to, subject: "Choose a new password".to_owned(), text }
}

/// Asks whether somebody wants to be registered: whoever confirms it where the link leads has read the mail.
pub fn confirm_registration(
    id: Uuid,
    to: String,
    public_url: &PublicUrl,
    token: &str,
    holds_for: Duration,
) -> Mail {
    let link = link(public_url, CONFIRM_REGISTRATION, token);
    let time = in_words(holds_for);
    let text = format!(
        "Somebody wants an account with this e-mail address at {public_url}.\n\n\
         If that was you, follow this link within {time} of that and enter there the password that \
         you have chosen:\n\n\
         {link}\n\n\
         If your password is not taken there, this mail may be for somebody else who has registered \
         with this address: follow the link of your own mail, or register again.\n\n\
         If it was not you, there is nothing to do: there is no account unless somebody follows the \
         link who knows the password.\n"
    );
    Mail { id, to, subject: "Confirm your registration".to_owned(), text }
}

/// Tells somebody who wants to be registered with their address that they have an account.
pub fn account_exists(id: Uuid, to: String, public_url: &PublicUrl) -> Mail {
    let text = format!(
        "Somebody wants an account with this e-mail address at {public_url}. There is one already, \
         so no other one was made.\n\n\
         If that was you, log in there with this address. If you do not know the password any \
         more, say there that you have forgotten it, and choose a new one by the mail that you \
         get.\n\n\
         If it was not you, there is nothing to do: your account is what it was, and nobody was \
         told of it.\n"
    );
    Mail { id, to, subject: "You have an account already".to_owned(), text }
}

/// Tells somebody that the password of their account was changed.
pub fn password_changed(id: Uuid, to: String, public_url: &PublicUrl) -> Mail {
    let text = format!(
        "The password of your account at {public_url} was changed, and whoever was logged in was \
         logged out.\n\n\
         If that was you, there is nothing to do.\n\n\
         If it was not you, say there that you have forgotten your password, choose a new one by \
         the mail that you get, and tell whoever runs it.\n"
    );
    Mail { id, to, subject: "Your password was changed".to_owned(), text }
}

/// Tells somebody, at the address from before, that their account has another one.
pub fn email_changed(id: Uuid, to: String, public_url: &PublicUrl) -> Mail {
    let text = format!(
        "Your account at {public_url} has another e-mail address from now on. Mails about it do \
         not come here any more.\n\n\
         If that was you, there is nothing to do.\n\n\
         If it was not you, tell whoever runs it at once: somebody knows your password, or has \
         been let into your account.\n"
    );
    Mail { id, to, subject: "Your e-mail address was changed".to_owned(), text }
}

/// Tells somebody that their account has a second factor from now on.
pub fn second_factor_enrolled(id: Uuid, to: String, public_url: &PublicUrl) -> Mail {
    let text = format!(
        "Your account at {public_url} has a second factor from now on: nobody logs in without a \
         code of it, and whoever was logged in was logged out.\n\n\
         If that was you, there is nothing to do.\n\n\
         If it was not you, tell whoever runs it at once: somebody knows your password, and has \
         the codes that are asked for from now on.\n"
    );
    Mail { id, to, subject: "Your account has a second factor".to_owned(), text }
}

/// Tells somebody that their account has no second factor any more.
pub fn second_factor_removed(id: Uuid, to: String, public_url: &PublicUrl) -> Mail {
    let text = format!(
        "The second factor of your account at {public_url} was removed: its codes are not asked \
         for any more.\n\n\
         If that was you, or you asked whoever runs it to, there is nothing to do.\n\n\
         If it was not you, say there that you have forgotten your password, choose a new one by \
         the mail that you get, and tell whoever runs it.\n"
    );
    Mail { id, to, subject: "Your second factor was removed".to_owned(), text }
}

fn link(public_url: &PublicUrl, path: &str, token: &str) -> String {
    public_url.at(&format!("{path}?token={}", percent_encoding::encoded(token)))
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
    fn whoever_has_forgotten_a_password_is_told_where_and_until_when_to_choose_another_one() {
        let url = PublicUrl::parse("https://app.example.com").unwrap();
        let to = "ann@example.com".to_owned();
        let mail = reset_password(Uuid::nil(), to, &url, "aZ0-_", Duration::from_secs(900));
        assert_eq!(
            (mail.to.as_str(), mail.subject.as_str()),
            ("ann@example.com", "Choose a new password")
        );
        let link = "https://app.example.com/api/v1/auth/reset-password?token=aZ0-_";
        assert_eq!(mail.text.lines().filter(|line| *line == link).count(), 1, "{}", mail.text);
        assert!(mail.text.contains(" within 15 minutes "), "{}", mail.text);
    }

    #[test]
    fn whoever_wants_to_be_registered_is_told_where_or_that_they_are() {
        let url = PublicUrl::parse("https://app.example.com").unwrap();
        let to = || "ann@example.com".to_owned();
        let day = Duration::from_secs(86_400);
        let wanted = confirm_registration(Uuid::nil(), to(), &url, "aZ0-_", day);
        assert_eq!(
            (wanted.to.as_str(), wanted.subject.as_str()),
            ("ann@example.com", "Confirm your registration")
        );
        let link = "https://app.example.com/api/v1/auth/confirm-registration?token=aZ0-_";
        assert_eq!(wanted.text.lines().filter(|line| *line == link).count(), 1, "{}", wanted.text);
        for told in
            [" within 1 day ", "the password that you have chosen", "there is nothing to do"]
        {
            assert!(wanted.text.contains(told), "{told} is not in {}", wanted.text);
        }
        let exists = account_exists(Uuid::nil(), to(), &url);
        assert_eq!(
            (exists.to.as_str(), exists.subject.as_str()),
            ("ann@example.com", "You have an account already")
        );
        assert!(!exists.text.contains("token="), "nothing is done by it: {}", exists.text);
    }

    #[test]
    fn whoever_is_told_what_was_done_to_their_account_is_told_what_to_do_if_it_was_not_them() {
        let url = PublicUrl::parse("https://app.example.com").unwrap();
        let to = || "ann@example.com".to_owned();
        for (mail, subject) in [
            (password_changed(Uuid::nil(), to(), &url), "Your password was changed"),
            (email_changed(Uuid::nil(), to(), &url), "Your e-mail address was changed"),
            (second_factor_enrolled(Uuid::nil(), to(), &url), "Your account has a second factor"),
            (second_factor_removed(Uuid::nil(), to(), &url), "Your second factor was removed"),
        ] {
            assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ann@example.com", subject));
            for told in ["your account at https://app.example.com ", "If it was not you, "] {
                assert!(mail.text.to_lowercase().contains(&told.to_lowercase()), "{}", mail.text);
            }
            assert!(!mail.text.contains("token="), "nothing is done by it: {}", mail.text);
        }
    }

    #[test]
    fn a_token_cannot_add_to_the_link_or_the_text() {
        let url = PublicUrl::parse("http://127.0.0.1:8000").unwrap();
        let token = "a&b=c#d\r\nhttp://evil.example";
        let encoded = "a%26b%3Dc%23d%0D%0Ahttp%3A%2F%2Fevil.example\n";
        for mail in [verify_email, reset_password, confirm_registration] {
            let mail = mail(Uuid::nil(), String::new(), &url, token, Duration::ZERO);
            assert!(mail.text.contains(&format!("?token={encoded}")), "{}", mail.text);
        }
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
