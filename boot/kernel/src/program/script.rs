//! Scripts: a file that begins with `#!` is run by the interpreter its first line names (execve(2), "Interpreter
//! scripts").

use super::search::PathBuffer;
use super::{Load, Step, Trouble};
use crate::errno::Errno;
use crate::limits::{ARGUMENT_BYTES, MAX_SCRIPTS, PATH_BYTES};
use crate::process::ProcessId;
use crate::system::System;
use crate::user_memory::{Access, UserAddr};
use crate::wait::Stall;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Bytes of a file that are looked at (Linux `BINPRM_BUF_SIZE`).
const LINE_BYTES: usize = 256;

/// What the first line of a script says.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    /// Path of the interpreter.
    interpreter: &'a [u8],
    /// What it gets as one argument, even if there are blanks inside.
    argument: Option<&'a [u8]>,
}

impl<B: Block> System<B> {
    /// Looks whether the file that was found is a script. Then its interpreter takes its place, and its path becomes an
    /// argument of that.
    pub(super) fn look_at_program(
        &mut self,
        process: ProcessId,
        load: &mut Load,
        nth: u32,
    ) -> Result<Step, Trouble> {
        let file = load.file.ok_or(Errno::ENOENT)?;
        let mut start = [0; LINE_BYTES];
        let start = &mut start[..file.bytes.min(LINE_BYTES as u64) as usize];
        self.read_file(file.id, 0, start)?;
        if !start.starts_with(b"#!") {
            return Ok(Step::Map);
        }
        if load.scripts >= MAX_SCRIPTS {
            return Err(Errno::ELOOP.into());
        }
        let line = Line::parse(start).ok_or("script names no interpreter in its first line")?;
        let interpreter = self.open_interpreter(process, line.interpreter)?;
        if let Err(stall) = self.put_before_arguments(load, nth, &line) {
            self.release_file(interpreter.id);
            return Err(stall.into());
        }
        load.scripts += 1;
        load.file = Some(interpreter);
        self.release_file(file.id);
        Ok(Step::Look { nth })
    }

    /// Puts the interpreter's path, its argument and the script's path in the place of the first argument.
    fn put_before_arguments(
        &mut self,
        load: &mut Load,
        nth: u32,
        line: &Line<'_>,
    ) -> Result<(), Stall> {
        let mut path = [0; PATH_BYTES];
        let path = self.script_path(load, nth, &mut path)?;
        let space = load.space;
        let first = self.end_of_string(space, load.strings.arguments)?;
        let mut at = first.0;
        let added = [Some(path), line.argument, Some(line.interpreter)];
        let mut count = load.strings.argument_count.saturating_sub(1);
        let bytes: usize = added.iter().flatten().map(|string| string.len() + 1).sum();
        let lowest = at - bytes as u64;
        if load.strings.directory.0 - lowest > (ARGUMENT_BYTES + PATH_BYTES) as u64 {
            return Err(Errno::E2BIG.into());
        }
        // What is replaced is needed until all can be written.
        for page in lowest / PAGE_BYTES as u64..=at / PAGE_BYTES as u64 {
            let page = UserAddr(page * PAGE_BYTES as u64);
            self.span(space, page, 1, Access::Load)?;
        }
        let mut script_at = at;
        for string in added.into_iter().flatten() {
            at -= string.len() as u64 + 1;
            count += 1;
            if string.as_ptr() == path.as_ptr() {
                script_at = at;
            }
            self.store(space, UserAddr(at), string, Access::Load)?;
            let end = UserAddr(at + string.len() as u64);
            self.store(space, end, &[0], Access::Load)?;
        }
        load.strings.arguments = UserAddr(at);
        load.strings.argument_count = count;
        load.strings.name.get_or_insert(UserAddr(script_at));
        Ok(())
    }

    /// Returns the path of the script: as it was called, or for an interpreter as the script before named it.
    fn script_path<'b>(
        &mut self,
        load: &Load,
        nth: u32,
        buffer: &'b mut PathBuffer,
    ) -> Result<&'b [u8], Stall> {
        let at = match load.strings.name {
            _ if load.scripts > 0 => load.strings.arguments,
            Some(name) => name,
            None => return self.found_path(load, nth, buffer),
        };
        self.read_cstring(load.space, at, buffer, Errno::ENAMETOOLONG)
    }
}

impl<'a> Line<'a> {
    /// Reads the line that begins with `#!`, as Linux does (fs/binfmt_script.c); `None` when it names nothing.
    fn parse(start: &'a [u8]) -> Option<Self> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let text = &start[2..];
        let (line, is_whole) = match text.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&text[..end], true),
            // A file may end without a newline; else the line goes on behind what is looked at.
            None => (text, start.len() < LINE_BYTES),
        };
        let from = line.iter().position(|byte| !is_blank(byte))?;
        let line = &line[from..];
        let end = line.iter().position(|byte| is_blank(byte) || *byte == 0);
        // A path that is cut might name another file.
        if end.is_none() && !is_whole {
            return None;
        }
        let (interpreter, rest) = line.split_at(end.unwrap_or(line.len()));
        if interpreter.is_empty() {
            return None;
        }
        let rest = if rest.first() == Some(&0) { &[] } else { rest };
        let from = rest.iter().position(|byte| !is_blank(byte));
        let argument = from.map(|from| {
            let rest = &rest[from..];
            let rest = rest.split(|&byte| byte == 0).next().unwrap_or(rest);
            let end = rest.iter().rposition(|byte| !is_blank(byte));
            &rest[..end.map_or(0, |end| end + 1)]
        });
        Some(Self {
            interpreter,
            argument: argument.filter(|argument| !argument.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn parse(line: &str) -> Option<(&str, Option<&str>)> {
        let text = |bytes| core::str::from_utf8(bytes).expect("the tests are text");
        let line = Line::parse(line.as_bytes())?;
        Some((text(line.interpreter), line.argument.map(text)))
    }

    #[test]
    fn a_line_has_a_path_and_at_most_one_argument() {
        assert_eq!(parse("#!/bin/sh\nexit"), Some(("/bin/sh", None)));
        assert_eq!(parse("#! \t/bin/sh \t\n"), Some(("/bin/sh", None)));
        assert_eq!(parse("#!/bin/sh -e\n"), Some(("/bin/sh", Some("-e"))));
        let env = Some(("/usr/bin/env", Some("python3 -u")));
        assert_eq!(parse("#!/usr/bin/env  python3 -u  \n"), env);
        assert_eq!(parse("#!/bin/sh"), Some(("/bin/sh", None)), "to the end");
        assert_eq!(parse("#!/bin/sh\0x y\n"), Some(("/bin/sh", None)));
    }

    #[test]
    fn a_line_without_a_path_names_nothing() {
        for line in ["#!", "#!\n/bin/sh", "#!  \t \n", "#!\0\n"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_path_must_end_inside_what_is_looked_at_and_an_argument_may_be_cut() {
        let line = |length: usize| {
            let mut line = b"#!".to_vec();
            line.resize(length, b'a');
            line.resize(LINE_BYTES, b' ');
            line
        };
        assert!(Line::parse(&line(LINE_BYTES - 1)).is_some());
        assert!(Line::parse(&line(LINE_BYTES)).is_none());
        let mut cut: Vec<u8> = b"#!/a ".to_vec();
        cut.resize(LINE_BYTES, b'b');
        let cut = Line::parse(&cut).expect("the path is whole");
        assert_eq!(cut.argument.map(<[u8]>::len), Some(LINE_BYTES - 5));
    }
}
