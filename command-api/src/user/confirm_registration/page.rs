//! What people see who follow the link of a mail because they want to be registered.

use crate::user::page::Page;

pub(super) const PAGE: Page = Page {
    heading: "Do you want this account?",
    before: "Press the button if you have asked for an account with this address. If somebody else \
             did, they have chosen its password: close this page.",
    action: "confirm-registration",
    fields: String::new,
    button: "Make my account",
    done: "You have an account",
    then: "Log in with the password that you have chosen. You may close this page.",
    not_done: "No account was made just now",
    unknown: "Nobody knows yet whether you have an account",
};
