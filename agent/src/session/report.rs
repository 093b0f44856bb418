//! The state of everything, for DumpStacks.

use super::Session;
use crate::kernel::Kernel;
use crate::limits::STACKS_BYTES;
use crate::stream::Kind;
use core::fmt::{self, Write};

/// The text of a DumpStacks response: what the agent knows, then what the kernel does, cut to [`STACKS_BYTES`].
pub(super) struct Stacks<'a, K> {
    pub(super) session: &'a Session,
    pub(super) kernel: &'a K,
}

impl<K: Kernel> fmt::Display for Stacks<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Limited {
            out: f,
            left: STACKS_BYTES,
            cut: 0,
        };
        let whole = self
            .session
            .describe(&mut out)
            .and_then(|()| self.kernel.dump(&mut out));
        let cut = out.cut;
        whole?;
        if cut == 0 {
            return Ok(());
        }
        write!(
            f,
            "\n[cut: {cut} bytes more; STACKS_BYTES = {STACKS_BYTES}]\n"
        )
    }
}

impl Session {
    fn describe(&self, out: &mut dyn Write) -> fmt::Result {
        writeln!(
            out,
            "agent: session {}, {} unanswered waits",
            self.number,
            self.waiters.len()
        )?;
        self.modifications.describe(out)?;
        for (_, container) in self.containers.iter() {
            writeln!(
                out,
                "container {}: notice {}{}",
                container.id,
                container.notice.name(),
                if container.deleted { ", deleted" } else { "" }
            )?;
        }
        for (_, process) in self.processes.iter() {
            writeln!(
                out,
                "process {}: {} {}",
                process.pid.0,
                process.role.name(),
                process.state
            )?;
            for (kind, stream) in Kind::ALL.iter().zip(&process.streams) {
                writeln!(out, "\t{} {}", kind.name(), stream.phase())?;
            }
        }
        Ok(())
    }
}

/// Passes text on until its escaped form would take more than `left` bytes, and counts what is behind.
struct Limited<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    left: usize,
    cut: usize,
}

impl Write for Limited<'_, '_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let mut end = 0;
        if self.cut == 0 {
            for character in s.chars() {
                let Some(left) = self.left.checked_sub(escaped_bytes(character)) else {
                    break;
                };
                self.left = left;
                end += character.len_utf8();
            }
        }
        self.cut += s.len() - end;
        self.out.write_str(s.get(..end).unwrap_or_default())
    }
}

/// Returns how many bytes a character takes in a string of the response.
pub(super) const fn escaped_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\t' | '\r' => 2,
        '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        _ => character.len_utf8(),
    }
}
