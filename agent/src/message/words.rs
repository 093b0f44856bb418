//! A command line becomes words, by the rules of the shell as far as the protocol keeps them (gcs-protocol §7.3).

use crate::kernel::StringList;
use core::fmt;

/// Why a command line has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordError {
    /// A quote that is not closed.
    OpenQuote,
    /// A backslash at the very end.
    FinalBackslash,
    /// A parenthesis outside quotes.
    Parenthesis,
    /// A NUL, which no argument can hold.
    Nul,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenQuote => "CommandLine: a quote is not closed",
            Self::FinalBackslash => "CommandLine: nothing follows the final backslash",
            Self::Parenthesis => "CommandLine: a parenthesis outside quotes",
            Self::Nul => "CommandLine: a NUL character cannot be passed on",
        })
    }
}

/// Inside which quotes a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Splits the first `length` bytes of `line` in place; `line` is one byte longer, so that the last word can be ended too.
///
/// Quotes and backslashes work, variables and backticks do not; an unquoted `;`, `&`, `|`, `<` or `>` silently ends the
/// command; behind a backslash outside single quotes `t` and `n` mean tab and newline.
///
/// # Errors
///
/// See [`WordError`].
pub fn split(line: &mut [u8], length: usize) -> Result<StringList<'_>, WordError> {
    let mut write = 0;
    let mut quote = Quote::None;
    let mut in_word = false;
    let mut read = 0;
    while read < length {
        let byte = line[read];
        read += 1;
        let plain = match (quote, byte) {
            (_, 0) => return Err(WordError::Nul),
            (Quote::None | Quote::Double, b'\\') => {
                if read == length {
                    return Err(WordError::FinalBackslash);
                }
                read += 1;
                match line[read - 1] {
                    b't' => b'\t',
                    b'n' => b'\n',
                    0 => return Err(WordError::Nul),
                    other => other,
                }
            }
            (Quote::None, b' ' | b'\t' | b'\r' | b'\n') => {
                if in_word {
                    line[write] = 0;
                    write += 1;
                    in_word = false;
                }
                continue;
            }
            (Quote::None, b';' | b'&' | b'|' | b'<' | b'>') => break,
            (Quote::None, b'(' | b')') => return Err(WordError::Parenthesis),
            (Quote::None, b'\'') | (Quote::Single, b'\'') => {
                quote = if quote == Quote::None {
                    Quote::Single
                } else {
                    Quote::None
                };
                in_word = true;
                continue;
            }
            (Quote::None, b'"') | (Quote::Double, b'"') => {
                quote = if quote == Quote::None {
                    Quote::Double
                } else {
                    Quote::None
                };
                in_word = true;
                continue;
            }
            (_, other) => other,
        };
        line[write] = plain;
        write += 1;
        in_word = true;
    }
    if quote != Quote::None {
        return Err(WordError::OpenQuote);
    }
    if in_word {
        line[write] = 0;
        write += 1;
    }
    Ok(StringList::from_packed(&line[..write]).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn words(line: &str) -> Result<Vec<String>, WordError> {
        let mut bytes = line.as_bytes().to_vec();
        bytes.push(b'"');
        let length = line.len();
        Ok(split(&mut bytes, length)?
            .iter()
            .map(|word| String::from_utf8(word.to_vec()).unwrap())
            .collect())
    }

    #[test]
    fn words_are_split_as_a_shell_would() {
        for (line, expected) in [
            ("", &[][..]),
            (" \t\r\n", &[]),
            ("true", &["true"]),
            (" sh  -c 'exit 5' ", &["sh", "-c", "exit 5"]),
            ("a''b \"\" ''", &["ab", "", ""]),
            ("\"a 'b' c\"", &["a 'b' c"]),
            ("'a \"b\" \\n'", &["a \"b\" \\n"]),
            ("a\\ b a\\tb \"a\\nb\" \\\\", &["a b", "a\tb", "a\nb", "\\"]),
            ("\"a\\\"b\"", &["a\"b"]),
            ("echo $HOME `id`", &["echo", "$HOME", "`id`"]),
            ("echo a;echo b", &["echo", "a"]),
            ("echo a > file", &["echo", "a"]),
            (
                "echo 'a;b' \"c|d\" e\\;f & g",
                &["echo", "a;b", "c|d", "e;f"],
            ),
            ("'(' \")\" \\(", &["(", ")", "("]),
            ("\u{e9}t\u{e9} '\u{1f600}'", &["\u{e9}t\u{e9}", "\u{1f600}"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_no_command_is_refused_by_what_is_wrong() {
        for (line, error) in [
            ("echo 'a", WordError::OpenQuote),
            ("echo \"a", WordError::OpenQuote),
            ("echo \\", WordError::FinalBackslash),
            ("(id)", WordError::Parenthesis),
            ("echo $(id)", WordError::Parenthesis),
            ("a\0b", WordError::Nul),
            ("a\\\0b", WordError::Nul),
        ] {
            assert_eq!(words(line), Err(error), "{line}");
        }
    }
}
