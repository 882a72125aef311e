//! What people see who follow the link of a mail because they want to be registered.

use axum::response::Response;

use crate::user::page::{self, Outcome, escaped};

/// What came of pressing the button.
pub(super) const OUTCOME: Outcome = Outcome {
    done: "You have an account",
    then: "Log in with the password that you have chosen. You may close this page.",
    not_done: "No account was made just now",
    unknown: "Nobody knows yet whether you have an account",
};

/// Asks to press the button.
pub(super) fn asking(token: &str) -> Response {
    let token = escaped(token);
    // The address is relative to the page's own: whatever stands in front may add a path.
    let form = format!(
        "<p>Press the button if you have asked for an account with this address. If somebody else \
         did, they have chosen its password: close this page.</p>\n\
         <form method=\"post\" action=\"confirm-registration\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <button type=\"submit\">Make my account</button>\n\
         </form>"
    );
    page::asking("Do you want this account?", &form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_text_and_nothing_else() {
        let page = page::text(asking("a\"><script>alert('b')</script>")).await;
        let kept = "value=\"a&quot;&gt;&lt;script&gt;alert(&#39;b&#39;)&lt;/script&gt;\"";
        assert!(page.contains(kept) && !page.contains("<script"), "{page}");
    }
}
