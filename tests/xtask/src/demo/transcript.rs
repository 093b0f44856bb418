//! The transcript: one line per step with its time, what came out of it below, all within 80 columns.

use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Width of a plain terminal.
const COLUMNS: usize = 80;
/// Columns at the right for the time.
const TIME_COLUMNS: usize = 11;
/// What comes out of a step stands in from the left.
const INDENT: &str = "      ";
/// Lines of a program's output that are shown.
const SHOWN_LINES: usize = 6;

/// Prints steps as they are done, and counts them.
pub(crate) struct Transcript {
    started: Instant,
    steps: usize,
}

/// What a step shows below its line.
pub(crate) type Details = Vec<String>;

impl Transcript {
    /// Prints the heading.
    pub(crate) fn begin(heading: &str) -> Self {
        println!("\n{heading}\n");
        Self {
            started: Instant::now(),
            steps: 0,
        }
    }

    /// Does one step and prints its line. The error of a step that fails names it.
    pub(crate) fn step<T>(
        &mut self,
        title: &str,
        work: impl FnOnce() -> Result<(T, Details)>,
    ) -> Result<T> {
        self.steps += 1;
        let started = Instant::now();
        match work() {
            Ok((value, details)) => {
                println!("{}", line("✓", title, started.elapsed()));
                for detail in details {
                    wrap(&printable(&detail)).for_each(|line| println!("{INDENT}{line}"));
                }
                Ok(value)
            }
            Err(error) => {
                println!("{}", line("✗", title, started.elapsed()));
                Err(error).with_context(|| format!("demo step {} failed: {title}", self.steps))
            }
        }
    }

    /// How many steps were done, and in what time.
    pub(crate) fn totals(&self) -> (usize, Duration) {
        (self.steps, self.started.elapsed())
    }
}

/// A program's output as details: its first lines, and how many were left out.
pub(crate) fn output(bytes: &[u8]) -> Details {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Details = text.lines().take(SHOWN_LINES).map(str::to_owned).collect();
    let count = text.lines().count();
    if count > SHOWN_LINES {
        lines.push(format!("… and {} lines more", count - SHOWN_LINES));
    }
    lines
}

fn line(mark: &str, title: &str, time: Duration) -> String {
    let time = format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let width = COLUMNS - TIME_COLUMNS - 4;
    format!(
        "  {mark} {:<width$}{time:>TIME_COLUMNS$}",
        shortened(title, width)
    )
}

/// The text in at most `columns` columns; what is cut off leaves a mark.
fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns - 1).chain(['…']).collect()
}

/// Control characters of a program do not reach the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Lines that fit beside the indent, broken at spaces where there are any.
fn wrap(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let limit = COLUMNS - INDENT.len();
        let Some((full, _)) = rest.char_indices().nth(limit) else {
            return Some(std::mem::take(&mut rest));
        };
        let end = rest[..full]
            .rfind(' ')
            .filter(|&space| space > 0)
            .unwrap_or(full);
        let line = &rest[..end];
        rest = rest[end..].trim_start();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for length in [1, 60, 74, 75, 80, 81, 300] {
            let text = "x".repeat(length);
            let widest = wrap(&text).map(|line| line.chars().count()).max();
            assert!(widest.is_some_and(|widest| widest + INDENT.len() <= COLUMNS));
            assert_eq!(
                line("✓", &text, Duration::from_millis(1234))
                    .chars()
                    .count(),
                COLUMNS
            );
        }
    }

    #[test]
    fn a_wrapped_text_loses_nothing_but_the_spaces_it_is_broken_at() {
        let text = "one two three ".repeat(20);
        let words: Vec<_> = text.split_whitespace().collect();
        let wrapped: Vec<_> = wrap(&text).flat_map(str::split_whitespace).collect();
        assert_eq!(wrapped, words);
        assert_eq!(wrap(&"y".repeat(200)).collect::<String>(), "y".repeat(200));
    }

    #[test]
    fn a_programs_control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb"), "a [31mb");
    }

    #[test]
    fn long_output_says_how_much_was_left_out() {
        let details = output(b"1\n2\n3\n4\n5\n6\n7\n8\n");
        assert_eq!(
            details.last().map(String::as_str),
            Some("… and 2 lines more")
        );
    }

    #[test]
    fn the_error_of_a_failed_step_names_it() {
        let mut transcript = Transcript::begin("try");
        transcript
            .step("first", || Ok(((), Details::new())))
            .unwrap();
        let error = transcript
            .step("second", || -> Result<((), Details)> {
                bail!("on purpose")
            })
            .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "demo step 2 failed: second: on purpose"
        );
    }
}
