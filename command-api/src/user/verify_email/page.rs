//! What people see who follow the link of a mail that asks whether their address is theirs.

use axum::response::Response;

use crate::user::page::{self, Outcome, escaped};

/// What came of pressing the button.
pub(super) const OUTCOME: Outcome = Outcome {
    done: "Your address is verified",
    then: "There is nothing left to do. You may close this page.",
    not_done: "No address was verified just now",
    unknown: "Nobody knows yet whether your address is verified",
};

/// Asks to press the button.
pub(super) fn asking(token: &str) -> Response {
    let token = escaped(token);
    // The address is relative to the page's own: whatever stands in front may add a path.
    let form = format!(
        "<p>Press the button if you gave this address for an account of yours.</p>\n\
         <form method=\"post\" action=\"verify-email\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <button type=\"submit\">Verify my address</button>\n\
         </form>"
    );
    page::asking("Is this your address?", &form)
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
