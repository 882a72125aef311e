//! Documents point at files that exist: by link, and by path in `code`.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::sources;

/// What documents point at that is not there.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let files = sources::files(checkout)?;
    let mut faults = Vec::new();
    for document in files.iter().filter(|file| file.ends_with(".md")) {
        let text = without_code_blocks(&sources::read(checkout, document)?);
        let folder = Path::new(document).parent().unwrap_or(Path::new(""));
        let links = links(&text).map(|link| (link, tidy(&folder.join(link))));
        let paths = paths(&text, &files).map(|path| (path, PathBuf::from(path)));
        for (named, path) in links.chain(paths) {
            if !exists(&path, &files) {
                faults.push(format!("{document} points at {named}, which does not exist"));
            }
        }
    }
    Ok(faults)
}

fn exists(path: &Path, files: &[String]) -> bool {
    path.as_os_str().is_empty() || files.iter().any(|file| Path::new(file).starts_with(path))
}

/// Blocks between fences are examples, not references.
fn without_code_blocks(text: &str) -> String {
    let outside = text.split("\n```").step_by(2);
    outside.collect::<Vec<_>>().join("\n")
}

/// Targets of `[text](target)` inside the checkout, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// Paths in `code` that begin with a folder of the checkout and hold no placeholder.
fn paths<'a>(text: &'a str, files: &'a [String]) -> impl Iterator<Item = &'a str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split("::").next().unwrap_or_default().trim_end_matches('/'))
        .filter(|code| !code.contains([' ', '<', '*', '{', '\n', '$']))
        .filter(move |code| {
            code.split_once('/').is_some_and(|(top, _)| {
                files.iter().any(|file| file.split_once('/').is_some_and(|(first, _)| first == top))
            })
        })
}

/// Resolves `.` and `..` without asking the disk.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                tidy.pop();
            }
            Component::Normal(name) => tidy.push(name),
            _ => {}
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_inside_the_checkout_are_found_without_their_anchor() {
        let text = "[a](../b.md#c) [d](https://e/f) [g](#h)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["../b.md"]);
        assert_eq!(tidy(&Path::new("docs/adr").join("../b.md")), Path::new("docs/b.md"));
    }

    #[test]
    fn only_code_that_names_a_folder_of_the_checkout_is_a_path() {
        let files = ["crates/domain/src/lib.rs".to_owned()];
        let text = "`crates/domain/src/gone.rs::Name` `a/b` `crates/<name>/src` `make up`";
        assert_eq!(paths(text, &files).collect::<Vec<_>>(), ["crates/domain/src/gone.rs"]);
    }

    #[test]
    fn a_folder_exists_by_its_files() {
        let files = ["crates/domain/src/lib.rs".to_owned()];
        assert!(exists(Path::new("crates/domain"), &files));
        assert!(!exists(Path::new("crates/dom"), &files));
    }

    #[test]
    fn examples_are_no_references() {
        assert_eq!(without_code_blocks("a\n```\n`crates/x`\n```\nb"), "a\n\nb");
    }
}
