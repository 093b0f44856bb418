//! Text for people, broken between words where a terminal is too narrow for a line.

use unicode_width::UnicodeWidthStr;

/// What begins a line that is somebody else's words: those stay as they are.
const QUOTED: &str = "  |";

/// How far the rest of a line that was broken is moved in.
const INDENT: &str = "    ";

/// Returns the text with its long lines broken, if there is a terminal that says how long they may be.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let lines: Vec<String> = text.lines().map(|line| broken(line, width)).collect();
    lines.join("\n")
}

fn broken(line: &str, width: usize) -> String {
    if line.width() <= width || line.starts_with(QUOTED) {
        return line.to_owned();
    }
    let mut broken = String::new();
    let mut used = 0;
    for word in line.split_inclusive(' ') {
        let bare = word.trim_end();
        // Nothing is won by moving a word that is too long for any line.
        if used > 0 && used + bare.width() > width && INDENT.len() + bare.width() <= width {
            broken.truncate(broken.trim_end().len());
            broken.push('\n');
            broken.push_str(INDENT);
            used = INDENT.len();
        }
        broken.push_str(word);
        used += word.width();
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_moved_in() {
        let text = "mote: one two three four five six\n  a hint that is short";
        assert_eq!(
            wrapped(text, Some(20)),
            "mote: one two three\n    four five six\n  a hint that is\n    short"
        );
        for width in [33, 34] {
            assert_eq!(wrapped(text, Some(width)), text);
        }
        assert_eq!(wrapped(text, Some(32)).lines().count(), 3);
        assert_eq!(wrapped(text, None), text);
    }

    #[test]
    fn a_word_that_fits_nowhere_and_quoted_lines_stay_as_they_are() {
        let long = format!("mote: {} x", "p".repeat(40));
        assert_eq!(wrapped(&long, Some(20)), long.replace(" x", "\n    x"));
        let quoted = format!("said:\n  | {}", "word ".repeat(10));
        assert_eq!(wrapped(&quoted, Some(20)), quoted);
    }
}
