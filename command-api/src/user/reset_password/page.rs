//! What people see who follow the link of a mail because they have forgotten their password.

use axum::response::Response;

use crate::password::Password;
use crate::user::page::{self, Outcome, escaped};

/// What came of pressing the button.
pub(super) const OUTCOME: Outcome = Outcome {
    done: "You have a new password",
    then: "All your sessions were ended: log in with the new password. You may close this page.",
    not_done: "No password was changed just now",
    unknown: "Nobody knows yet whether your password was changed",
};

/// Asks for the new password.
pub(super) fn asking(token: &str) -> Response {
    let token = escaped(token);
    let (least, most) = (Password::MIN_CHARACTERS, Password::MAX_CHARACTERS);
    // The address is relative to the page's own: whatever stands in front may add a path.
    let form = format!(
        "<p>You will be logged out everywhere.</p>\n\
         <form method=\"post\" action=\"reset-password\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <label>New password, {least} to {most} characters\n\
         <input type=\"password\" name=\"new_password\" autocomplete=\"new-password\" \
         minlength=\"{least}\" required></label>\n\
         <button type=\"submit\">Change my password</button>\n\
         </form>"
    );
    page::asking("Choose a new password", &form)
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
