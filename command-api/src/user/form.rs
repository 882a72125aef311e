//! What the forms of our pages say.

use problem_details::Problem;

use crate::fields::{Broken, Faults};
use crate::form::members;

/// Reads a form that says each of these once, and nothing else.
///
/// # Errors
/// It is something else.
pub(super) fn said<const N: usize>(body: &[u8], names: [&str; N]) -> Result<[String; N], Problem> {
    let said = members(body).and_then(|said| in_order(said, names));
    said.ok_or_else(|| {
        let mut faults = Faults::of_body();
        for name in names {
            let broken = Broken::new("required", "is required, once and beside nothing unasked");
            faults.note(&format!("/{name}"), broken);
        }
        faults.refuse()
    })
}

fn in_order<const N: usize>(
    mut said: Vec<(String, String)>,
    names: [&str; N],
) -> Option<[String; N]> {
    let mut value = |name: &str| {
        let at = said.iter().position(|(said, _)| said == name)?;
        Some(said.swap_remove(at).1)
    };
    let values: Option<Vec<String>> = names.into_iter().map(&mut value).collect();
    values.filter(|_| said.is_empty())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(problem: &Problem) -> Vec<(&str, &str)> {
        problem.errors().iter().map(|error| (error.pointer.as_str(), error.rule)).collect()
    }

    #[test]
    fn a_form_says_what_its_page_asks_for_in_whatever_order() {
        for (body, expected) in [
            ("token=aZ0-_", "aZ0-_"),
            ("token=", ""),
            ("token=a+b%26c%3D%C3%BC", "a b&c=ü"),
            ("token=a=b", "a=b"),
        ] {
            assert_eq!(said(body.as_bytes(), ["token"]).unwrap(), [expected], "{body}");
        }
        for body in ["a=1&b=2", "b=2&a=1"] {
            assert_eq!(said(body.as_bytes(), ["a", "b"]).unwrap(), ["1", "2"], "{body}");
        }
    }

    #[test]
    fn what_is_asked_for_stands_there_once_and_nothing_else_does() {
        let bodies =
            ["", "Token=a", "a=b", "token=a&token=b", "token=a&b=c", "b=c&token=a", "token=%f"];
        for body in bodies {
            let problem = said(body.as_bytes(), ["token"]).unwrap_err();
            assert_eq!(errors(&problem), [("/token", "required")], "{body}");
        }
        let problem = said(b"a=1", ["a", "b"]).unwrap_err();
        assert_eq!(errors(&problem), [("/a", "required"), ("/b", "required")]);
    }
}
