//! Addresses as they may be shown.

/// The URL without user and password.
///
/// What stands before the last `@` is taken for them, also in a text that is no URL: rather too
/// much is hidden than a password shown.
pub fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url
        .split_once("://")
        .map_or(("", url), |(name, rest)| (&url[..name.len() + "://".len()], rest));
    let shown = rest.rsplit_once('@').map_or(rest, |(_, shown)| shown);
    format!("{scheme}{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_left_out() {
        for (url, shown) in [
            ("http://127.0.0.1:8085/apis", "http://127.0.0.1:8085/apis"),
            ("https://ann@host/", "https://host/"),
            ("https://ann:hunter2@host:1/a?b#c", "https://host:1/a?b#c"),
            ("https://ann:hun@ter/2@host", "https://host"),
            ("ann:hunter2@host", "host"),
            ("", ""),
        ] {
            assert_eq!(without_userinfo(url), shown);
        }
    }
}
