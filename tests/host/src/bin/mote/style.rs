//! Colours, where a person looks at a terminal and has not said no (<https://no-color.org>).

use std::env;
use std::io::IsTerminal;

/// Where text goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// Returns whether the stream takes colours.
pub(crate) fn has_colours(stream: Stream) -> bool {
    let is_terminal = match stream {
        Stream::Output => std::io::stdout().is_terminal(),
        Stream::Error => std::io::stderr().is_terminal(),
    };
    is_terminal
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|value| value != "dumb")
}

fn painted(stream: Stream, code: &str, text: &str) -> String {
    if has_colours(stream) {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Returns a heading.
pub(crate) fn bold(stream: Stream, text: &str) -> String {
    painted(stream, "1", text)
}

/// Returns bad news.
pub(crate) fn red(stream: Stream, text: &str) -> String {
    painted(stream, "1;31", text)
}

/// Returns what stands back.
pub(crate) fn dim(stream: Stream, text: &str) -> String {
    painted(stream, "2", text)
}
