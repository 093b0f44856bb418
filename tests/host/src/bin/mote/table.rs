//! Tables for people: columns as wide as their content, nothing beyond the terminal's edge.

use crate::style::{self, Stream};
use crate::terminal;
use unicode_width::UnicodeWidthStr;

/// Blanks between columns.
const GAP: usize = 2;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table in the making. The last column is cut where the terminal ends.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(heads: &[(&'static str, Align)]) -> Self {
        Self {
            heads: heads.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Control characters, which would move the terminal's cursor, are shown as `?`.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let clean = |cell: String| cell.replace(char::is_control, "?");
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// Returns the lines, the first one being the heads.
    pub(crate) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let heads: Vec<String> = self
            .heads
            .iter()
            .map(|(head, _)| (*head).to_owned())
            .collect();
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|column| {
                let cells = std::iter::once(&heads).chain(&self.rows);
                cells.map(|row| row[column].width()).max().unwrap_or(0)
            })
            .collect();
        std::iter::once(&heads)
            .chain(&self.rows)
            .map(|row| cut(&self.line(row, &widths), width))
            .collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let blanks = " ".repeat(widths[column] - cell.width());
            match self.heads[column].1 {
                Align::Left => line.push_str(&format!("{cell}{blanks}")),
                Align::Right => line.push_str(&format!("{blanks}{cell}")),
            }
            line.push_str(&" ".repeat(GAP));
        }
        line.trim_end().to_owned()
    }

    /// Prints the table to standard output.
    pub(crate) fn print(&self) {
        let width = terminal::width(Stream::Output);
        for (index, line) in self.lines(width).iter().enumerate() {
            match index {
                0 => println!("{}", style::bold(Stream::Output, line)),
                _ => println!("{line}"),
            }
        }
    }
}

fn cut(line: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return line.to_owned();
    };
    if line.width() <= width {
        return line.to_owned();
    }
    let mut short = String::new();
    for letter in line.chars() {
        if format!("{short}{letter}").width() >= width {
            break;
        }
        short.push(letter);
    }
    short + "…"
}

/// Returns a size as people read it: `512 B`, `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match (unit, value) {
        (0, _) => format!("{bytes} B"),
        (_, value) if value < 10.0 => format!("{value:.1} {}", UNITS[unit]),
        (_, value) => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// Returns a time span as people read it: `5s`, `2m03s`, `1h02m`, `3d04h`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let mut table = Table::new(&[
            ("NAME", Align::Left),
            ("N", Align::Right),
            ("X", Align::Left),
        ]);
        table.row(vec!["a".into(), "1000".into(), "x".into()]);
        table.row(vec!["longer".into(), "7".into(), "y\n".into()]);
        assert_eq!(
            table.lines(None),
            ["NAME       N  X", "a       1000  x", "longer     7  y?"]
        );
    }

    #[test]
    fn a_line_ends_at_the_terminals_edge() {
        let mut table = Table::new(&[("A", Align::Left)]);
        table.row(vec!["x".repeat(10)]);
        assert_eq!(table.lines(Some(10))[1], "x".repeat(10));
        assert_eq!(table.lines(Some(9))[1], "x".repeat(8) + "…");
    }

    #[test]
    fn sizes_and_spans_are_short() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!((span(59), span(61)), ("59s".into(), "1m01s".into()));
        assert_eq!((span(3600), span(90_000)), ("1h00m".into(), "1d01h".into()));
    }
}
