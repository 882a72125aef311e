//! An array whose items are each checked on their own.

use super::scanner::Scanner;
use super::{Fault, Kind, Limits, Member, Rule, too_long_member};

/// The members of an item that is an object and keeps all rules, or the first place where it does
/// not.
pub type Item<'a> = Result<Vec<Member<'a>>, Fault>;

/// Checks a text that must be an array of at most `most` values and returns its items in order; each
/// must be an object, and is checked as [`members`](super::members) checks a text. An item that
/// breaks a rule is an error of its own, with a pointer from the text's root.
///
/// # Errors
/// The text is not JSON, however many of its items keep all rules, or is no array, or has too many
/// items; then what follows is not looked at.
pub fn items<'a>(text: &'a str, limits: &Limits, most: usize) -> Result<Vec<Item<'a>>, Fault> {
    let mut scanner = Scanner::new(text, *limits, limits.depth.saturating_add(1));
    let whole = |offset, rule| Fault { pointer: String::new(), offset, rule };
    scanner.skip_white_space();
    if !scanner.take(b'[') {
        // What is no JSON at all is told so.
        let start = scanner.at();
        let passed = scanner.pass_over(start).and_then(|()| scanner.must_be_at_the_end());
        passed.map_err(|broken| scanner.fault(broken))?;
        return Err(whole(start, Rule::NotAnArray));
    }
    let mut items = Vec::new();
    let mut is_over = scanner.take(b']');
    while !is_over {
        let index = items.len();
        if index == most {
            return Err(whole(scanner.at(), Rule::TooManyItems { limit: most }));
        }
        items.push(item(&mut scanner, limits, index)?);
        is_over = scanner.take(b']');
        if !is_over && !scanner.take(b',') {
            let expected = Rule::Malformed { expected: "`,` or `]`" };
            return Err(within(index, whole(scanner.at(), expected)));
        }
    }
    scanner.must_be_at_the_end().map_err(|(offset, rule)| whole(offset, rule))?;
    Ok(items)
}

fn item<'a>(scanner: &mut Scanner<'a>, limits: &Limits, index: usize) -> Result<Item<'a>, Fault> {
    let start = scanner.at();
    let mut members = Vec::with_capacity(4);
    let fault = match scanner.scan_value(&mut |member| members.push(member)) {
        Ok(value) if value.kind != Kind::Object => {
            Fault { pointer: String::new(), offset: start, rule: Rule::NotAnObject }
        }
        Ok(value) => match too_long_member(value.text, start, &members, limits) {
            None => return Ok(Ok(members)),
            Some(fault) => fault,
        },
        Err(broken) => {
            let fault = scanner.fault(broken);
            let passed = match fault.rule {
                Rule::Malformed { .. } => return Err(within(index, fault)),
                _ => scanner.pass_over(start),
            };
            passed.map_err(|broken| within(index, scanner.fault(broken)))?;
            fault
        }
    };
    Ok(Err(within(index, fault)))
}

/// The fault of an item as one of the array.
fn within(index: usize, fault: Fault) -> Fault {
    Fault { pointer: format!("/{index}{}", fault.pointer), ..fault }
}
