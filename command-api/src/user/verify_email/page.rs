//! What people see who follow the link of a mail that asks whether their address is theirs.

use crate::user::page::Page;

pub(super) const PAGE: Page = Page {
    heading: "Is this your address?",
    before: "Press the button if you gave this address for an account of yours.",
    action: "verify-email",
    fields: String::new,
    button: "Verify my address",
    done: "Your address is verified",
    then: "There is nothing left to do. You may close this page.",
    not_done: "No address was verified just now",
    unknown: "Nobody knows yet whether your address is verified",
};
