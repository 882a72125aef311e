//! Configuration files with `{{name}}` to fill in.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Fills every `{{name}}` of the text.
pub(crate) fn render(text: &str, values: &[(&str, String)]) -> Result<String> {
    let mut rendered = text.to_owned();
    for (name, value) in values {
        let mark = format!("{{{{{name}}}}}");
        if !text.contains(&mark) {
            bail!("the template has no {mark}");
        }
        rendered = rendered.replace(&mark, value);
    }
    match rendered.lines().find(|line| line.contains("{{") && !line.contains("{{...}}")) {
        Some(line) => bail!("the template is not filled: {line}"),
        None => Ok(rendered),
    }
}

/// Reads a template, fills it and writes the result.
pub(crate) fn write(template: &Path, target: &Path, values: &[(&str, String)]) -> Result<()> {
    let text = std::fs::read_to_string(template)
        .with_context(|| format!("reading {}", template.display()))?;
    let rendered =
        render(&text, values).with_context(|| format!("filling {}", template.display()))?;
    std::fs::write(target, rendered).with_context(|| format!("writing {}", target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_is_filled() {
        let rendered = render("port {{port}} of {{port}}", &[("port", "1".to_owned())]).unwrap();
        assert_eq!(rendered, "port 1 of 1");
    }

    #[test]
    fn a_mark_without_value_and_a_value_without_mark_are_refused() {
        assert!(render("port {{port}}", &[]).is_err());
        assert!(render("port", &[("port", "1".to_owned())]).is_err());
    }
}
