//! What people see who follow the link of a mail because they have forgotten their password.

use crate::password::Password;
use crate::user::page::Page;

pub(super) const PAGE: Page = Page {
    heading: "Choose a new password",
    before: "You will be logged out everywhere.",
    action: "reset-password",
    fields: new_password,
    button: "Change my password",
    done: "You have a new password",
    then: "All your sessions were ended: log in with the new password. You may close this page.",
    not_done: "No password was changed just now",
    unknown: "Nobody knows yet whether your password was changed",
};

fn new_password() -> String {
    let (least, most) = (Password::MIN_CHARACTERS, Password::MAX_CHARACTERS);
    format!(
        "<label>New password, {least} to {most} characters\n\
         <input type=\"password\" name=\"new_password\" autocomplete=\"new-password\" \
         minlength=\"{least}\" required></label>\n"
    )
}
