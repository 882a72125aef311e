//! What people see who follow the link of a mail because they want to be registered.

use crate::user::page::Page;

pub(super) const PAGE: Page = Page {
    heading: "Do you want this account?",
    before: "If you have asked for an account with this address, enter the password that you chose \
             then. If it is not taken, this mail may be for somebody else who has asked for one with \
             this address: take your own mail, or register again. If you have asked for none, close this page.",
    action: "confirm-registration",
    fields: password,
    button: "Make my account",
    done: "You have an account",
    then: "Log in with the password that you have chosen. You may close this page.",
    not_done: "No account was made just now",
    unknown: "Nobody knows yet whether you have an account",
};

fn password() -> String {
    "<label>The password that you have chosen\n\
     <input type=\"password\" name=\"password\" autocomplete=\"current-password\" \
     required></label>\n"
        .to_owned()
}
