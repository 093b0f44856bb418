//! Reports: the properties of a container, and the state of everything for DumpStacks.

use super::Session;
use crate::kernel::{Kernel, View};
use crate::limits::STACKS_BYTES;
use crate::stream::Kind;
use core::fmt::{self, Write};

/// The document of a GetProperties response. Asked for nothing it knows, it is `{}`.
pub(super) struct Properties<'a, K> {
    pub(super) kernel: &'a K,
    pub(super) view: View,
    pub(super) process_list: bool,
}

impl<K: Kernel> fmt::Display for Properties<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        let processes = (0..).map_while(|nth| self.kernel.process(self.view, nth));
        let mut any = false;
        if self.process_list {
            for process in processes {
                f.write_str(if any { "," } else { "\"ProcessList\":[" })?;
                write!(f, "{{\"ProcessId\":{}}}", process.pid.0)?;
                any = true;
            }
        }
        f.write_str(if any { "]}" } else { "}" })
    }
}

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
        };
        let whole = self
            .session
            .describe(&mut out)
            .and_then(|()| self.kernel.dump(&mut out));
        match whole {
            Ok(()) => Ok(()),
            Err(fmt::Error) => write!(f, "\n[cut: STACKS_BYTES = {STACKS_BYTES}]\n"),
        }
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

/// Passes text on until its escaped form would take more than `left` bytes.
struct Limited<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    left: usize,
}

impl Write for Limited<'_, '_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for (at, character) in s.char_indices() {
            let bytes = match character {
                '"' | '\\' | '\n' | '\t' | '\r' => 2,
                '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
                _ => character.len_utf8(),
            };
            if bytes > self.left {
                self.out.write_str(s.get(..at).unwrap_or_default())?;
                return Err(fmt::Error);
            }
            self.left -= bytes;
        }
        self.out.write_str(s)
    }
}
