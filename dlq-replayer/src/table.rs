//! Text tables that fit a terminal, and text that cannot steer one.

/// The widest line of a table.
pub(crate) const WIDTH: usize = 100;

/// What stands between two columns.
const GAP: usize = 2;

/// The narrowest a column that may be cut becomes.
const NARROWEST: usize = 6;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    may_be_cut: bool,
}

impl Column {
    /// One that is always shown whole: ids, counts, ages.
    pub(crate) fn whole(title: &'static str) -> Self {
        Self { title, may_be_cut: false }
    }

    /// One that may be cut where the line would be too long.
    pub(crate) fn cut(title: &'static str) -> Self {
        Self { title, may_be_cut: true }
    }
}

/// The lines of a table: titles, then rows, every line at most [`WIDTH`] characters where the whole
/// columns allow it.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    lines_within(WIDTH, columns, rows)
}

/// The same below a heading, two characters to the right.
pub(crate) fn indented(columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let lines = lines_within(WIDTH - GAP, columns, rows);
    lines.into_iter().map(|line| format!("{}{line}", " ".repeat(GAP))).collect()
}

fn lines_within(limit: usize, columns: &[Column], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let widths = widths(limit, columns, &titles, &rows);
    std::iter::once(&titles).chain(&rows).map(|row| line(row, &widths)).collect()
}

fn widths(limit: usize, columns: &[Column], titles: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |at: usize| {
        let cells = std::iter::once(titles).chain(rows.iter().map(Vec::as_slice));
        cells.filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns.len()).map(width).collect();
    loop {
        let gaps = GAP * columns.len().saturating_sub(1);
        let total = widths.iter().sum::<usize>() + gaps;
        let widest = widths
            .iter_mut()
            .zip(columns)
            .filter(|(width, column)| column.may_be_cut && **width > NARROWEST)
            .map(|(width, _)| width)
            .max();
        match widest {
            Some(widest) if total > limit => *widest -= 1,
            _ => return widths,
        }
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| {
        let cell = shortened(cell, *width);
        let padding = width.saturating_sub(cell.chars().count());
        format!("{cell}{}", " ".repeat(padding))
    });
    let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
    line.trim_end().to_owned()
}

/// A number of things, in words for one and for more.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// The text, or its beginning with an ellipsis where it is longer.
pub(crate) fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// The text with everything escaped that would steer a terminal: what is shown comes from records
/// that anybody may have written.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let steers = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if steers { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_titles() {
        let columns = [Column::whole("ID"), Column::cut("KEY")];
        let rows = [vec!["1".to_owned(), "dev-9".to_owned()], vec!["200".into(), "d".into()]];
        assert_eq!(lines(&columns, &rows), ["ID   KEY", "1    dev-9", "200  d"]);
    }

    #[test]
    fn a_long_line_is_cut_where_it_may_be() {
        let columns = [Column::whole("ID"), Column::cut("KEY"), Column::cut("MESSAGE")];
        let id = "0199aa00-0000-7000-8000-000000000001".to_owned();
        let rows = [vec![id.clone(), "k".repeat(80), "m".repeat(300)]];
        let indented = indented(&columns, &rows);
        assert!(indented.iter().all(|line| line.chars().count() <= WIDTH), "{indented:?}");
        let lines = lines(&columns, &rows);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[1].starts_with(&id));
        assert!(lines[1].ends_with("m…"), "{lines:?}");
    }

    #[test]
    fn a_text_from_a_record_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}");
        assert_eq!(printable("Gerät-9 ✓"), "Gerät-9 ✓");
    }
}
